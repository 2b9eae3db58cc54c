"""How hooks are declared: `Hook` decorates a stub in `Trick` and checks what the hook returns. Works without torch.

To add a hook, write its stub in `recipe.plugins.trick`, in the order in which hooks are called, and call it with
`recipe.plugins.calling.call_hook`. `HOOKS`, the errors and the table in the docs are derived from the stub. A hook that
is called at each step also needs sample arguments in `recipe.testing.inputs`; a test fails if they are missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from pkgutil import resolve_name
from sys import float_info
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from recipe.plugins.metrics import MODES

if TYPE_CHECKING:
    import torch

    from recipe.plugins.contexts import LossContext

Check = Callable[..., bool]
"""Whether a hook may return a result, given the result and the hook's arguments."""

GRAPH = (
    "channels",
    "stem",
    "trunk",
    "shortcut",
    "head",
    "gate",
    "branch",
    "downsampling",
    "activation",
    "norm",
    "init",
)
"""The slots that rewrites write."""

METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
"""A name of a metric."""

MARK = "__hook__"

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen(kw_only=True)
class Hook:
    """When a hook is called, what it returns, and how to check that. Decorates a stub in `Trick`.

    ``when`` is a stage, such as ``compile``, or how often the hook is called during training, such as ``each step``.
    ``gives`` describes its result. A trick with the hook writes one of ``slots``, if there are any. Errors in the hook
    have the ``code``. Exceptions in ``lets`` are about what it reads, not about the trick. ``formerly`` is an old name.
    With ``plain``, its result has numbers, and `call_hook` makes them plain Python ones before it checks them. With
    ``spans``, it is called only in the part of a training to which a recipe limits its trick.
    """

    when: str
    gives: str
    check: Check
    slots: tuple[str, ...] = ()
    code: str = "E080"
    lets: tuple[type[Exception], ...] = ()
    formerly: str | None = None
    plain: bool = False
    spans: bool = False

    def __call__(self, stub: F) -> F:
        setattr(stub, MARK, self)
        return stub


def hooks_of(cls: type) -> Mapping[str, Hook]:
    """Return the hooks that a class itself declares, by name, in the order of their stubs."""
    return {name: getattr(stub, MARK) for name, stub in vars(cls).items() if hasattr(stub, MARK)}


# ---- checks of what hooks return; the `gives` of a stub describes its check


def is_a(*kinds: type) -> Check:
    return lambda result, *arguments: isinstance(result, kinds)


def _is_imported(kind: str) -> Check:
    """Return a check for a type, named as in ``torch.nn:Module`` and imported when a result is checked."""
    return lambda result, *arguments: isinstance(result, resolve_name(kind))


is_tensor = _is_imported("torch:Tensor")
is_module = _is_imported("torch.nn:Module")
is_optimizer = _is_imported("torch.optim:Optimizer")
is_sets = _is_imported("recipe.data.images:Sets")


def is_by_name(check: Check) -> Check:
    return lambda result, *arguments: isinstance(result, Mapping) and all(map(check, result.values()))


def is_several(kind: type) -> Check:
    """Return a check for an iterable of values of a type, other than a string."""

    def check(result: Any, *arguments: Any) -> bool:
        several = isinstance(result, Iterable) and not isinstance(result, str)
        return several and all(isinstance(value, kind) for value in result)

    return check


def is_several_or_none(kind: type) -> Check:
    """Return a check for None or an iterable of values of a type, other than a string."""
    return lambda result, *arguments: result is None or is_several(kind)(result)


def is_names(result: Any, *arguments: Any) -> bool:
    """Whether a result is a sequence of the names of each class, of which each has at least one."""
    return isinstance(result, Sequence) and all(bool(each) and is_several(str)(each) for each in result)


def is_count(result: Any, *arguments: Any) -> bool:
    return type(result) is int and result > 0


def is_count_or_none(result: Any, *arguments: Any) -> bool:
    return result is None or is_count(result)


def is_factor(result: Any, *arguments: Any) -> bool:
    return isinstance(result, (int, float)) and 0 <= result <= float_info.max


def is_options(result: Any, *arguments: Any) -> bool:
    """Whether a result is options by name. Parameters are grouped by them, so each value must be hashable."""
    return isinstance(result, Mapping) and is_several(str)(result) and isinstance(hash((*result.values(),)), int)


def is_loss(result: Any, logits: torch.Tensor, *arguments: Any) -> bool:
    """Whether a result is one number on the device of the logits that training can lower."""
    return _is_number_at(result, logits) and result.requires_grad >= logits.requires_grad


def is_term(result: Any, context: LossContext) -> bool:
    """Whether a result is one number on the device of the logits."""
    return _is_number_at(result, context.logits)


def _is_number_at(result: Any, logits: torch.Tensor) -> bool:
    number = is_tensor(result) and result.ndim == 0 and result.is_floating_point()
    return number and result.device == logits.device


def is_like_first(result: Any, first: torch.Tensor, *arguments: Any) -> bool:
    """Whether a result is a tensor like the first argument."""
    return is_tensor(result) and _is_like(result, first)


def is_like_each(result: Any, first: Sequence[torch.Tensor], *arguments: Any) -> bool:
    """Whether a result is tensors like those in the first argument."""
    import torch  # once for all tensors: there may be hundreds in every step

    if not isinstance(result, Sequence) or len(result) != len(first):
        return False
    pairs = zip(result, first, strict=True)
    return all(new is old or (isinstance(new, torch.Tensor) and _is_like(new, old)) for new, old in pairs)


def _is_like(new: torch.Tensor, old: torch.Tensor) -> bool:
    """Whether a tensor can take another one's place: the same shape, dtype, device and layout, outside of autograd."""
    same = new.shape == old.shape and new.dtype == old.dtype and new.device == old.device and new.layout == old.layout
    return same and not (new.requires_grad or new.is_inference())


def is_mixed(result: Any, images: torch.Tensor, targets: torch.Tensor, draws: Any) -> bool:
    return is_like_each(result, (images, targets))


def is_boxes(result: Any, draws: Any, heights: Any, widths: Any) -> bool:
    import numpy as np

    if not (isinstance(result, np.ndarray) and result.shape == (len(heights), 4) and result.dtype.kind in "fiu"):
        return False
    return bool(np.isfinite(result).all() and (result[:, 2:] > 0).all())


def is_order(result: Any, labels: Any, draws: Any) -> bool:
    """Whether a result is as many indices of images as there are labels."""
    import numpy as np

    integers = isinstance(result, np.ndarray) and result.dtype == np.int64 and result.shape == (len(labels),)
    return bool(integers and (result >= 0).all() and (result < len(labels)).all())


def is_class_weights(result: Any, counts: Any) -> bool:
    """Whether a result is a finite number of at least 0 for each class, not all of them 0."""
    import numpy as np

    numbers = isinstance(result, np.ndarray) and result.shape == (len(counts),) and result.dtype.kind in "fiu"
    return bool(numbers and np.isfinite(result).all() and (result >= 0).all() and (result > 0).any())


def is_side(result: Any, side: int, progress: Any) -> bool:
    return is_count(result) and result <= side


def is_modes(result: Any, *arguments: Any) -> bool:
    """Whether a result maps names of metrics, as a recipe can write them, to their modes."""
    named = isinstance(result, Mapping) and is_several(str)(result)
    return named and all(map(METRIC.fullmatch, result)) and all(mode in MODES for mode in result.values())


def is_metrics(result: Any, *arguments: Any) -> bool:
    if not (isinstance(result, Mapping) and is_several(str)(result)):
        return False
    return all(type(value) in (int, float) and isfinite(value) for value in result.values())
