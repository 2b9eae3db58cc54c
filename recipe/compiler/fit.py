"""How pretrained weights fit a rewritten model: which of its tensors they set, which not, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import attrs
from torch import Tensor

from recipe.base.errors import RecipeError, fail
from recipe.base.source import Span
from recipe.base.wording import plural
from recipe.compiler.naming import Naming
from recipe.graph.edits import Edit, Substitute, made_prefixes

FLOATS = ("float64", "float32", "float16", "bfloat16")
ENOUGH = 0.9
"""The part of a model's parameters that weights must set unless the recipe states another one, both of the tensors and
of the values. Heads don't count.

Much of a model fits another of its family: 77 % of a ResNet-34's tensors are those of a ResNet-50 by name and shape.
"""

OTHER_CLASSES = "the weights are of other classes"
"""The reason why a head that fits is not loaded."""

ELSEWHERE = "of something else than the model"
"""The reason why a tensor without the prefix of the others is not used, such as one of a loss."""

Tensors = Mapping[str, Tensor]


@attrs.frozen
class Fit:
    """What pretrained weights set in a model. The names are those of tensors: parameters and buffers."""

    source: str
    """The weights, for display."""
    total: int
    """The number of tensors in the weights."""
    loaded: tuple[str, ...]
    """The tensors that are loaded: they have the same name and shape in the rewritten model."""
    parameters: tuple[int, int]
    """The number of the model's parameters that are loaded, and of all of them."""
    fresh: Mapping[str, str]
    """The model's tensors that keep their initial values, each with the reason."""
    unused: Mapping[str, str]
    """The tensors in the weights whose name the model does not use, each with the reason."""
    converted: Mapping[str, int]
    """The number of loaded tensors of each type that is converted to that of the model."""
    found: tuple[str, ...] = ()
    """Clauses about where in the file the tensors are, and how their names and channels became those of the model."""
    naming: Naming = attrs.field(factory=Naming)
    """What to change in the weights before they are loaded."""
    unknown: str = ""
    """Why nothing is known of the weights yet, or empty."""
    outputs: int | None = None
    """The number of outputs of the model that the weights are of, or None if they have no last layer."""

    @property
    def strays(self) -> int:
        """The number of unused tensors if they are so many that the weights may be of another model, or else 0."""
        apart = list(self.unused.values()).count(ELSEWHERE)
        strays = len(self.unused) - apart
        return strays if strays > (1 - ENOUGH) * (self.total - apart) else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What is loaded and what is not, one line each."""
        if self.unknown:
            return (f"weights: `{self.source}` {self.unknown}",)
        loaded, every = self.parameters
        lines = [
            f"{len(self.loaded)} of {plural(self.total, 'tensor')} in `{self.source}` fit and are loaded: "
            f"{loaded} of the model's {plural(every, 'parameter')}"
        ]
        lines += ["; ".join(self.found)] if self.found else []
        lines += [f"{plural(count, 'tensor')} converted from {kind}" for kind, count in self.converted.items()]
        if self.fresh:
            lines.append(f"{plural(len(self.fresh), 'tensor')} of the model not loaded: {_first(self.fresh)}")
        if self.unused:
            lines.append(f"{plural(len(self.unused), 'tensor')} in the weights not used: {_first(self.unused)}")
        return tuple(f"weights: {line}" for line in lines)


def fits(given: Tensor, wanted: Tensor) -> bool:
    """Whether a tensor can be loaded into another: the same shape, and both of floats or of the same type."""
    return given.shape == wanted.shape and (given.dtype == wanted.dtype or {*map(_kind, (given, wanted))} <= {*FLOATS})


def is_counter(tensor: Tensor) -> bool:
    """Whether a buffer only counts, such as `num_batches_tracked`. Old weights lack it, and nothing depends on it."""
    return tensor.ndim == 0 and not tensor.is_floating_point()


def fit_of(
    source: str,
    given: Tensors,
    model: Tensors,
    stock: Tensors,
    edits: Sequence[Edit],
    parameters: Collection[str],
    heads: Sequence[str] = (),
    other_classes: bool = False,
    naming: Naming | None = None,
    notes: tuple[str, ...] = (),
) -> Fit:
    """Match weights with a rewritten model by name and shape.

    The weights may be those of the stock model or of the rewritten one. If they contain a layer that an edit replaced,
    they are those of the stock model there, and set nothing in the layers that replace it.

    Args:
        source: The weights, for display.
        given: The tensors of the weights, such as on the meta device.
        model: The tensors of the rewritten model.
        stock: The tensors of the stock model.
        edits: The edits that turn the stock model into the rewritten one.
        parameters: The names of the rewritten model's parameters.
        heads: The addresses of the layers that compute the logits, and of auxiliary heads.
        other_classes: Whether the weights are of other classes than those of the images, so that no head is loaded.
        naming: What to change in the weights first, if anything.
        notes: Clauses about where in the file the tensors are.
    """
    total, naming = len(given), naming or Naming()
    given, outside = naming.applied(given)
    replaced = tuple(edit for edit in edits if isinstance(edit, Substitute) and _is_stock(edit, given, model, stock))
    barred = made_prefixes(replaced)
    withheld = tuple(f"{address}." for address in heads) if other_classes else ()
    loaded, fresh = list[str](), dict[str, str]()
    for name, wanted in model.items():
        if name in given and fits(given[name], wanted) and not name.startswith(barred):
            if name.startswith(withheld):
                fresh[name] = OTHER_CLASSES
            else:
                loaded.append(name)
        elif not is_counter(wanted):
            fresh[name] = _reason(given.get(name), wanted, name.startswith(barred))
    gone = tuple(f"{edit.address}." for edit in replaced)
    unused = {
        name: "of a layer that a tweak replaces" if name.startswith(gone) else "not in the model"
        for name in given
        if name not in model
    } | dict.fromkeys(outside, ELSEWHERE)
    kinds = [_kind(given[name]) for name in loaded if given[name].dtype != model[name].dtype]
    return Fit(
        source=source,
        total=total,
        loaded=tuple(loaded),
        parameters=(len({*loaded} & {*parameters}), len({*parameters})),
        fresh=fresh,
        unused=unused,
        converted={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        found=(*notes, *naming.notes),
        naming=naming,
        outputs=_outputs(given, heads),
    )


def check_fit(
    fit: Fit, given: Tensors, body: Tensors, model: str, span: Span | None, least: float | None, field: str = ""
) -> None:
    """Raise `RecipeError` (E102) if weights set too little of a model.

    ``body`` are the parameters that they should set: those of the stock model, without heads. ``least`` is the part of
    them that is enough, or None for `ENOUGH`. ``field`` is the word with which the recipe states it, for help.
    """
    set_ = [tensor for name, tensor in body.items() if name in fit.loaded]
    least = ENOUGH if least is None else least
    part = _part(set_, body.values())
    if fit.loaded and (not body or part >= least):
        return
    help = f"name weights of `{model}`"
    if not given:
        message = f"`{fit.source}` contains no tensors"
    elif not fit.loaded:
        example = f"`{_short(next(iter(given)))}` in the weights, `{next(iter(fit.fresh))}` in the model"
        message = f"none of the tensors in `{fit.source}` match `{model}`: their names or shapes differ ({example})"
    else:
        missing = {name: fit.fresh[name] for name in body if name in fit.fresh}
        message = (
            f"only {len(set_)} of the {plural(len(body), 'parameter')} of `{model}` are in `{fit.source}` "
            f"({part:.0%}; {least:.0%} are needed), not counting the last layer: {_first(missing)}"
        )
        help += f", or set `{field}={int(part * 100)}%` to start from what fits" if field and part >= 0.01 else ""
    raise fail("E102", message, span, help=help)


def changed(source: str, name: str, span: Span | None) -> RecipeError:
    """Return the error for weights whose tensors differ from those that the recipe was compiled with."""
    message = f"`{source}` has changed since the recipe was compiled: `{_short(name)}` no longer fits"
    return fail("E001", message, span, help="run the command again once nothing writes to the file")


def _outputs(given: Tensors, heads: Iterable[str]) -> int | None:
    """Return the number of outputs that the heads have in weights, or None if it is unknown."""
    names = (f"{address}.{name}" for address in heads for name in ("weight", "bias"))
    sizes = {given[name].shape[0] for name in names if name in given and given[name].ndim}
    return sizes.pop() if len(sizes) == 1 else None


def _is_stock(edit: Substitute, given: Tensors, model: Tensors, stock: Tensors) -> bool:
    """Whether the weights contain the layer that an edit replaced: a tensor that only the stock model has."""
    inside = [name for name in stock if name.startswith(f"{edit.address}.")]
    lost = [name for name in inside if name not in model or not fits(stock[name], model[name])]
    return any(name in given and fits(given[name], stock[name]) for name in lost)


def _reason(given: Tensor | None, wanted: Tensor, barred: bool) -> str:
    if given is None:
        return "not in the weights"
    if given.shape != wanted.shape:
        return f"{_shape(wanted)}; {_shape(given)} in the weights"
    return "the weights are of another layer" if barred else f"{_kind(wanted)}; {_kind(given)} in the weights"


def _part(some: Iterable[Tensor], every: Iterable[Tensor]) -> float:
    """Return the part of tensors or of their values, whichever is smaller."""
    counts = [[tensor.numel() for tensor in tensors] for tensors in (some, every)]
    measures: tuple[Callable[[list[int]], int], ...] = (len, sum)
    return min(measure(counts[0]) / max(1, measure(counts[1])) for measure in measures)


def _first(names: Mapping[str, str], most: int = 3) -> str:
    """List the first tensors with their reasons."""
    shown = ", ".join(f"`{_short(name)}` ({names[name]})" for name in [*names][:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _short(name: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", name if len(name) <= 80 else f"{name[:79]}…")


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one value"


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
