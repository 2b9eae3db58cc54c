"""How a hook is declared: `Hook` on its stub in `Trick`, and the checks of what hooks return. Needs no torch.

To add a hook, write its stub in `recipe.plugins.trick`, where a recipe meets it, and call it by
`recipe.plugins.calling.call_hook`. `HOOKS`, the errors and the table in the docs follow from the stub. A hook that is
called at each step also needs sample arguments in `recipe.testing.inputs`; a test fails if they are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

if TYPE_CHECKING:
    import torch

Check = Callable[..., bool]
"""Whether something is what a hook may return: a function of that, and of the hook's arguments."""

GRAPH = ("stem", "trunk", "shortcut", "head", "gate", "branch", "downsampling", "activation", "norm", "init")
"""The slots of rewrites."""

MARK = "__hook__"

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen(kw_only=True)
class Hook:
    """When a hook is called, what it returns in words, and whether something is that. Decorates a stub of `Trick`.

    ``when`` is a stage, as in ``compile``, or how often it is called in a training, as in ``each step``.
    A trick that has the hook writes one of ``slots``, if there are any. What it does wrong has the ``code``; ``lets``
    are exceptions that are about what it reads, not about the trick. ``formerly`` is a name that it had before.
    """

    when: str
    gives: str
    check: Check
    slots: tuple[str, ...] = ()
    code: str = "E080"
    lets: tuple[type[Exception], ...] = ()
    formerly: str | None = None

    def __call__(self, stub: F) -> F:
        setattr(stub, MARK, self)
        return stub


def hooks_of(cls: type) -> Mapping[str, Hook]:
    """The hooks that a class declares itself, by name, in the order of their stubs."""
    return {name: getattr(stub, MARK) for name, stub in vars(cls).items() if hasattr(stub, MARK)}


# ---- checks of what hooks return; what each means is said where a stub `gives` it


def is_a(*kinds: type) -> Check:
    return lambda result, *arguments: isinstance(result, kinds)


def _is_imported(kind: str) -> Check:
    """Something of a type that is imported when a result is checked, named as in ``torch.nn:Module``."""
    return lambda result, *arguments: isinstance(result, resolve_name(kind))


is_tensor = _is_imported("torch:Tensor")
is_module = _is_imported("torch.nn:Module")
is_optimizer = _is_imported("torch.optim:Optimizer")
is_sets = _is_imported("recipe.data.images:Sets")


def is_by_name(check: Check) -> Check:
    return lambda result, *arguments: isinstance(result, Mapping) and all(map(check, result.values()))


def is_several(kind: type) -> Check:
    """Several values of a type, in any iterable but a text."""

    def check(result: Any, *arguments: Any) -> bool:
        several = isinstance(result, Iterable) and not isinstance(result, str)
        return several and all(isinstance(value, kind) for value in result)

    return check


def is_count(result: Any, *arguments: Any) -> bool:
    return isinstance(result, Integral) and int(result) > 0


def is_count_or_none(result: Any, *arguments: Any) -> bool:
    return result is None or is_count(result)


def is_options(result: Any, *arguments: Any) -> bool:
    """Options by name. Parameters are grouped by them, so each is a value that can be hashed."""
    return isinstance(result, Mapping) and is_several(str)(result) and isinstance(hash((*result.values(),)), int)


def is_one_number(result: Any, *arguments: Any) -> bool:
    return is_tensor(result) and result.numel() == 1


def is_like_first(result: Any, first: torch.Tensor, *arguments: Any) -> bool:
    """A tensor of the shape of the first argument."""
    return is_tensor(result) and result.shape == first.shape


def is_like_each(result: Any, first: Sequence[torch.Tensor], *arguments: Any) -> bool:
    """Tensors of the shapes of those of the first argument."""
    import torch  # once for all: there may be hundreds, in every step

    if not isinstance(result, Sequence) or len(result) != len(first):
        return False
    pairs = zip(result, first, strict=True)
    return all(new is old or (isinstance(new, torch.Tensor) and new.shape == old.shape) for new, old in pairs)


def is_mixed(result: Any, images: torch.Tensor, targets: torch.Tensor, draws: Any) -> bool:
    return is_like_each(result, (images, targets))


def is_boxes(result: Any, draws: Any, heights: Any, widths: Any) -> bool:
    import numpy as np

    return isinstance(result, np.ndarray) and result.shape == (len(heights), 4)


def is_side(result: Any, side: int, progress: Any) -> bool:
    return is_count(result) and int(result) <= side
