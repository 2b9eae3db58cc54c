"""What a training step needs besides its tricks: seeds, the parts of a batch, and errors of torch.compile."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from recipe.base.errors import fail
from recipe.base.wording import reason_of


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """A context for running a compiled model, forward or backward: a failure to compile is reported as E114.

    torch compiles a graph when it is first needed, that of the backward computation in the first backward.
    """
    try:
        yield
    except torch._dynamo.exc.TorchDynamoException as error:
        reason = reason_of(error)
        help = "`compile` needs a C++ compiler on a CPU; `drop compile` trains without it"
        raise fail("E114", f"torch.compile failed: {reason}", help=help) from error


def set_seed(seed: int, device: torch.device) -> None:
    """Seed torch's random numbers, on the CPU and on GPUs. `torch.manual_seed` takes longer: it seeds all devices."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of torch's random numbers in a step; each process has its own."""
    key = f"step/{seed}/{step}" + (f"/{rank}" if rank else "")
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")


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
