"""How the names in weights, and their first layer, become those of a model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping

import attrs
from torch import Tensor

from recipe.base.channels import GRAY, RGB, adaptable
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Span
from recipe.base.wording import plural

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""The components that torch.compile, FSDP and activation checkpointing add to names, anywhere in them."""

AVERAGED = re.compile(r"(^|[._])ema([._]|$)|averaged")
"""A prefix of averaged weights."""

DEPTH = 8
"""The largest number of components of a prefix."""

Tensors = Mapping[str, Tensor]


@attrs.frozen
class Naming:
    """What to change in weights before they are matched with a model by name and shape."""

    wrappers: tuple[str, ...] = ()
    """Components to leave out anywhere in names."""
    prefix: str = ""
    """What to remove from the beginning of names: ``module.``. Tensors without it are of something else."""
    instead: str = ""
    """The prefix of weights that are not used, since those with ``prefix`` are their averages."""
    stem: str = ""
    """The weight of the first convolution, by its name in the model, if it has other input channels."""
    channels: int = 0
    """The input channels of the model's first convolution, for a ``stem``."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is changed, a clause each."""
        removed = [f"`{part}`" for part in (*(f"{wrapper}." for wrapper in self.wrappers), self.prefix) if part]
        names = [f"{' and '.join(removed)} removed from names"] if removed else []
        if self.prefix and AVERAGED.search(self.prefix):
            names.append("these are averages" + (f", used instead of `{self.instead}…`" if self.instead else ""))
        if self.stem and self.channels == GRAY:
            names.append(f"the {RGB} input channels of `{self.stem}` added up for gray images")
        elif self.stem:
            names.append(f"`{self.stem}` for gray images spread over {self.channels} input channels")
        return tuple(names)

    def applied(self, given: Tensors) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the tensors by their names in the model, and those of something else by their own names."""
        inside, outside = dict[str, Tensor](), dict[str, Tensor]()
        for name, tensor in given.items():
            short = _without(name, self.wrappers)
            if short.startswith(self.prefix):
                inside[short.removeprefix(self.prefix)] = tensor
            else:
                outside[name] = tensor
        if self.stem in inside:
            inside[self.stem] = with_channels(inside[self.stem], self.channels)
        return inside, outside


def with_channels(weight: Tensor, channels: int) -> Tensor:
    """Return the weight of a first convolution for gray images (1 channel) instead of RGB, or the reverse.

    An image whose three channels are equal gets the same output as its gray version, unless the layer normalizes its
    weights, as those of BiT do.

    Args:
        weight: The weight (O, I, H, W) of a convolution without groups.
        channels: The input channels that it is to have.

    Raises:
        ValueError: If it has other input channels than 1 or 3, or is to have others.
    """
    have = weight.shape[1]
    if have == channels:
        return weight
    if (have, channels) == (RGB, GRAY):
        return weight.float().sum(1, keepdim=True).to(weight.dtype)
    if (have, channels) == (GRAY, RGB):
        return (weight.float() / RGB).repeat(1, RGB, 1, 1).to(weight.dtype)
    raise ValueError(f"no convolution of {plural(have, 'channel')} can stand for one of {channels}")


def naming_of(given: Tensors, wanted: Tensors, stem: str, source: str, span: Span | None) -> Naming:
    """Return the naming with which most names of weights are those of a model.

    Args:
        given: The tensors of the weights.
        wanted: The tensors of the model, as it is rewritten and before.
        stem: The name of the weight of its first convolution, or empty.
        source: The weights, for display.
        span: Where the recipe names them.

    Raises:
        RecipeError: If two parts of the weights fit equally well, or the input channels don't fit (E102).
    """
    wrappers = tuple(wrapper for wrapper in WRAPPERS if any(wrapper in name.split(".") for name in given))
    if len({_without(name, wrappers) for name in given}) < len(given):
        wrappers = ()
    names = [_without(name, wrappers) for name in given]
    naming = Naming(wrappers, *_prefix(names, wanted, source, span))
    inside, _ = naming.applied(given)
    if stem not in inside or stem not in wanted:
        return naming
    have, want = inside[stem].shape, wanted[stem].shape
    if len(have) != 4 or len(want) != 4 or have == want or (have[0], *have[2:]) != (want[0], *want[2:]):
        return naming
    if not adaptable(have, want):
        message = f"`{stem}` in `{source}` takes {plural(have[1], 'channel')}, but that of the model takes {want[1]}"
        help = f"name weights for images of {plural(want[1], 'channel')}, or remove `{stem}` from the file"
        raise fail("E102", message, span, help=help)
    return attrs.evolve(naming, stem=stem, channels=want[1])


def _prefix(names: Collection[str], wanted: Collection[str], source: str, span: Span | None) -> tuple[str, str]:
    """Return the prefix without which most names are wanted, and one of equally many that is not used."""
    counts: Counter[str] = Counter({"": 0})
    for name in names:
        parts = name.split(".")
        for depth in range(min(len(parts), DEPTH + 1)):
            if ".".join(parts[depth:]) in wanted:
                counts["".join(f"{part}." for part in parts[:depth])] += 1
    most = max(counts.values())
    if most * 4 < len(wanted):  # they are of another model, whatever is removed
        return "", ""
    best = sorted((prefix for prefix, count in counts.items() if count == most), key=len)
    averaged = [prefix for prefix in best if AVERAGED.search(prefix)]
    others = [prefix for prefix in best if prefix not in averaged]
    if len(averaged) == 1 and others:
        return averaged[0], others[0]
    if len(best) == 1 or "" in best:
        return best[0], ""
    raise _ambiguous(best, source, span)


def _ambiguous(prefixes: Collection[str], source: str, span: Span | None) -> RecipeError:
    shown = " and ".join(f"`{prefix}`" for prefix in [*prefixes][:2])
    message = f"`{source}` has weights of several models, whose names begin with {shown}"
    return fail("E102", message, span, help="save those of one model as a file of its own")


def _without(name: str, wrappers: Collection[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in wrappers) if wrappers else name
