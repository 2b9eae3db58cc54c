"""Find the weights in what torch.save wrote: a state dict, or a checkpoint of a trainer that contains one."""

from __future__ import annotations

from typing import Any

import attrs

from recipe.base.wording import listing
from recipe.compiler.torch_file import Unsupported
from recipe.compiler.torch_pickle import Recorded, Stored, stored

AVERAGES = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "model_ema_state_dict", "ema", "params_ema",
    "average",
)  # fmt: skip
"""The names under which trainers save averaged weights. As in timm, they are preferred."""

NAMES = (
    "state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "net", "network", "module", "weights",
    "model_weights", "params",
)  # fmt: skip
"""The names under which trainers save the weights."""

DEPTH = 3
"""The number of such names to look under, one inside the other."""

SAVE = "load it in Python, and save its weights: `torch.save(model.state_dict(), PATH)`"


@attrs.frozen
class StateDict:
    """A state dict in a file."""

    tensors: dict[str, Stored]
    place: tuple[str, ...]
    """The names under which it is, outermost first."""
    instead: str = ""
    """The name of weights in the file that are not used, since these are their averages."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Where it was found, as a clause, or nothing if it is the whole file."""
        if not self.place:
            return ()
        averaged = f", the average of `{self.instead}`" if self.instead else ""
        return (f"from `{'.'.join(self.place)}`{averaged}",)


def state_dict(content: Any) -> StateDict:
    """Return the state dict in the content of a `TorchFile`. Raises `Unsupported` if there is none."""
    if found := _found(content, (), set()):
        return found
    if what := _object(content):
        raise Unsupported(f"is a pickled `{what}` object, not a state dict", SAVE)
    inside = _items(content)
    several = [name for name, value in inside.items() if _tensors(value)]
    if len(several) == 1:
        return StateDict(_tensors(inside[several[0]]), (several[0],))
    if several:
        help = "save one of them as a file of its own"
        raise Unsupported(f"has several state dicts: {listing(several, 4)}", help)
    for name in (*AVERAGES, *NAMES):
        if what := _object(inside.get(name)):
            raise Unsupported(f"has a pickled `{what}` object as `{name}`, not a state dict", SAVE)
    raise Unsupported("contains no tensors by name", SAVE)


def _found(content: Any, place: tuple[str, ...], seen: set[int]) -> StateDict | None:
    """Return the state dict under a name that trainers use, averaged weights first, or else the content itself.

    ``seen`` has the identities of what was looked at, since a pickle may contain one object many times, or itself.
    """
    if id(content) in seen:
        return None
    seen.add(id(content))
    inside = _items(content)
    if len(place) < DEPTH:
        named = (name for name in NAMES if name in inside)
        weights = next((found for name in named if (found := _found(inside[name], (*place, name), seen))), None)
        averages = (name for name in AVERAGES if name in inside)
        average = next((found for name in averages if (found := _found(inside[name], (*place, name), seen))), None)
        if average and weights and len(average.tensors) > len(weights.tensors) / 2:  # not only a step and a decay
            return attrs.evolve(average, instead=weights.place[len(place)])
        if weights or average:
            return weights or average
    tensors = _tensors(content)
    return StateDict(tensors, place) if tensors else None


def _items(content: Any) -> dict[str, Any]:
    if not isinstance(content, Recorded) or stored(content) is not None:
        return {}
    return {name: value for name, value in content.items_by_name.items() if isinstance(name, str)}


def _tensors(content: Any) -> dict[str, Stored]:
    return {name: tensor for name, value in _items(content).items() if (tensor := stored(value)) is not None}


def _object(content: Any) -> str:
    """Return the name of the class of an object that isn't a container, or an empty string."""
    if not isinstance(content, Recorded) or content.name in ("builtins.dict", "collections.OrderedDict"):
        return ""
    return "" if _items(content) or stored(content) is not None else content.name
