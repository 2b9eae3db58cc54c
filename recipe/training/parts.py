"""Split a batch into micro-batches."""

from __future__ import annotations

import torch
from torch import Tensor


def sizes(images: int, micro: int | None, even: int | None = None) -> list[int]:
    """Return the size of each micro-batch: ``micro`` images. A single leftover image joins the last one.

    With ``even``, the batch is split into that many micro-batches of nearly equal size instead.
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
    """Split a batch into micro-batches. See `sizes`."""
    if micro is None and even is None:
        return [(inputs, targets)]
    cut = sizes(len(inputs), micro, even)
    return list(zip(torch.split(inputs, cut), torch.split(targets, cut), strict=True))
