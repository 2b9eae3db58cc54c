"""Whether the values that a hook gets and returns are finite: checked only to explain why a training diverged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from recipe.base.errors import RecipeError
from recipe.plugins.contexts import LossContext


class NotFinite(RecipeError):
    """A hook returned values that are not finite, although those that it was given are."""


@attrs.define
class _Mode:
    checks: bool = False


MODE = _Mode()


@contextlib.contextmanager
def checking_values() -> Iterator[None]:
    """A context in which `call_hook` raises `NotFinite`. It waits for the device at each hook."""
    MODE.checks = True
    try:
        yield
    finally:
        MODE.checks = False


def are_finite(value: Any) -> bool:
    """Whether all numbers in the tensors and arrays of a hook's arguments or result are finite."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return bool(value.isfinite().all())
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    if isinstance(value, LossContext):
        return are_finite((value.logits, value.targets, value.images, value.loss))
    if isinstance(value, Mapping):
        return all(map(are_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(are_finite, value))
