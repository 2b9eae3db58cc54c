"""What a training step is made of beside its tricks: seeds, parts of a batch, and contexts for what may fail."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from recipe.diagnostics import fail


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """A context in which a model that torch compiles is run, forward or backward: what fails to compile is told (E114).

    A graph is compiled when it is first needed, that of the backward computation in the first backward.
    """
    try:
        yield
    except torch._dynamo.exc.TorchDynamoException as error:
        reason = str(error).strip().split("\n")[0]
        help = "`compile` needs a C++ compiler on a CPU; `drop compile` trains without it"
        raise fail("E114", f"torch.compile failed: {reason}", help=help) from error


def set_seed(seed: int, device: torch.device) -> None:
    """Seed torch's random numbers, on the CPU and on the device. `torch.manual_seed` would ask each kind of device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of torch's random numbers in a step; each process has its own."""
    key = f"step/{seed}/{step}" + (f"/{rank}" if rank else "")
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")


def sizes(images: int, micro: int | None, even: int | None = None) -> list[int]:
    """How many images each part of a batch has: ``micro``; a last one of a single image joins the one before it.

    ``even`` cuts the batch into so many parts instead.
    """
    if even is not None:
        return [images // even + (place < images % even) for place in range(even)]
    if micro is None or images <= micro:
        return [images]
    found = [micro] * (images // micro)
    rest = images - sum(found)
    if rest == 1:
        found[-1] += 1
    elif rest:
        found.append(rest)
    return found


def parts(inputs: Tensor, targets: Tensor, micro: int | None, even: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """A batch cut into its parts; see `sizes`."""
    if micro is None and even is None:
        return [(inputs, targets)]
    cut = sizes(len(inputs), micro, even)
    return list(zip(torch.split(inputs, cut), torch.split(targets, cut), strict=True))
