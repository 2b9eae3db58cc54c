"""The tensors of a model: its buffers, found quickly, and a context that puts tensors back to what they were."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn


@attrs.frozen(eq=False)
class Buffers:
    """The buffers of a model that are numbers of a kind: floating-point ones, or counts.

    To walk through the modules takes longer than to compute with them, so that is done once. But a module may put
    another tensor in the place of a buffer, so each is looked up where it is needed.
    """

    places: tuple[tuple[dict[str, Any], str], ...]

    @classmethod
    def of(cls, model: nn.Module, floating: bool) -> Buffers:
        found: dict[int, tuple[dict[str, Any], str]] = {}
        for module in model.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None and buffer.is_floating_point() is floating:
                    found.setdefault(id(buffer), (module._buffers, name))
        return cls(tuple(found.values()))

    def __call__(self) -> list[Tensor]:
        """The tensors that are there now, in the order in which `nn.Module` names them."""
        return [holder[name] for holder, name in self.places]


@contextlib.contextmanager
def restored(tensors: Callable[[], Sequence[Tensor]]) -> Iterator[None]:
    """A context after which some tensors hold what they held before it.

    ``tensors`` gives them, the same ones in the same order, also where others have taken their places meanwhile.
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
    """Copy tensors into others, in one operation for each type of number."""
    for dtype in dict.fromkeys(source.dtype for source in sources):
        pairs = [pair for pair in zip(sources, targets, strict=True) if pair[0].dtype is dtype]
        torch._foreach_copy_([target for _, target in pairs], [source for source, _ in pairs])
