"""Tensor helpers for training: memory formats, the current tensors of a model, and restoring tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn


@attrs.frozen(eq=False)
class Places:
    """Where a model stores its parameters and buffers of one kind: floating-point tensors, or all others.

    Walking the modules takes longer than computing with their tensors, so that is done once. But a module may replace
    a tensor with another one, so each is looked up when it is needed.
    """

    places: tuple[tuple[dict[str, Any], str], ...]

    @classmethod
    def of(cls, model: nn.Module, *, floating: bool) -> Places:
        places: dict[int, tuple[dict[str, Any], str]] = {}
        for kind in ("_parameters", "_buffers"):
            for module in model.modules():
                holder = getattr(module, kind)
                for name, tensor in holder.items():
                    if tensor is not None and tensor.is_floating_point() is floating:
                        places.setdefault(id(tensor), (holder, name))
        return cls(tuple(places.values()))

    def __call__(self) -> list[Tensor]:
        """Return the current tensors: parameters first, each kind in the order in which `nn.Module` names them."""
        return [holder[name] for holder, name in self.places]


@contextlib.contextmanager
def restored(tensors: Callable[[], Sequence[Tensor]]) -> Iterator[None]:
    """A context that restores the values of some tensors on exit.

    ``tensors`` returns them, and is called again on exit. If a module has replaced a tensor in the meantime, the
    replacement gets the value.
    """
    before = tensors()
    kept = [torch.empty_like(tensor) for tensor in before]
    _copy(before, kept)
    try:
        yield
    finally:
        _copy(kept, tensors())


@torch.no_grad()
def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    """Copy tensors into others, in one operation per dtype."""
    for dtype in dict.fromkeys(source.dtype for source in sources):
        pairs = [pair for pair in zip(sources, targets, strict=True) if pair[0].dtype is dtype]
        torch._foreach_copy_([target for _, target in pairs], [source for source, _ in pairs])
