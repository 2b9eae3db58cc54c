"""How a batch is cut into the parts that are computed at a time."""

from __future__ import annotations

import torch
from torch import Tensor


def sizes(images: int, micro: int | None, even: int | None = None) -> list[int]:
    """How many images each part of a batch has: ``micro``; a last one of a single image joins the one before it.

    With ``even``, the batch is cut into that many parts of nearly equal size instead.
    """
    if even is not None:
        return [images // even + (place < images % even) for place in range(even)]
    if micro is None or images <= micro:
        return [images]
    cut = [micro] * (images // micro)
    rest = images - sum(cut)
    if rest == 1:
        cut[-1] += 1
    elif rest:
        cut.append(rest)
    return cut


def parts(inputs: Tensor, targets: Tensor, micro: int | None, even: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """A batch cut into its parts; see `sizes`."""
    if micro is None and even is None:
        return [(inputs, targets)]
    cut = sizes(len(inputs), micro, even)
    return list(zip(torch.split(inputs, cut), torch.split(targets, cut), strict=True))
