"""What a training step is made of beside its tricks: seeds, parts of a batch, and contexts for what may fail."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from recipe.diagnostics import fail


@contextlib.contextmanager
def restored(tensors: Sequence[Tensor]) -> Iterator[None]:
    """A context after which tensors hold what they held before it."""
    kinds = [[one for one in tensors if one.dtype is dtype] for dtype in {one.dtype for one in tensors}]
    kept = [[torch.empty_like(one) for one in kind] for kind in kinds]
    with torch.no_grad():
        for copies, kind in zip(kept, kinds, strict=True):  # a launch for each dtype
            torch._foreach_copy_(copies, kind)
    try:
        yield
    finally:
        with torch.no_grad():
            for copies, kind in zip(kept, kinds, strict=True):
                torch._foreach_copy_(kind, copies)


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


def parts(inputs: Tensor, targets: Tensor, micro: int | None, even: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """A batch cut into micro batches; a last one of a single image joins the one before it.

    ``even`` cuts it into so many parts instead.
    """
    if even is not None:
        return list(zip(inputs.tensor_split(even), targets.tensor_split(even), strict=True))
    if micro is None or len(inputs) <= micro:
        return [(inputs, targets)]
    sizes = [micro] * (len(inputs) // micro)
    rest = len(inputs) - sum(sizes)
    if rest == 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return list(zip(torch.split(inputs, sizes), torch.split(targets, sizes), strict=True))
