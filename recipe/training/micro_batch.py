"""Find how many images fit into a device's memory at a time."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch
from torch import Tensor

from recipe.base.errors import RecipeError, fail
from recipe.devices.choice import may_be_out_of_memory
from recipe.training.loading import share
from recipe.training.parts import sizes
from recipe.training.trainer import Trainer
from recipe.training.trial import try_step

CGROUP = Path("/sys/fs/cgroup")

SPARE = 0.8
"""Fraction of a CPU's free memory that activations may use."""


def fitting_micro(trainer: Trainer) -> int:
    """Return the largest micro-batch that fits: this process's share of a batch, half of it, a quarter, and so on.

    On a GPU, each size is tried. On a CPU, where running out of memory kills the process, the size is estimated from
    two images. Raises the device's own error if not even two images fit.
    """
    if trainer.plan.training.synchronised and trainer.ranks.several:
        help = "set the size yourself: `batch 256 micro 32`"
        raise fail(
            "E115", "`batch micro auto` can't try micro-batch sizes with `norm sync` on several processes", help=help
        )
    micro = largest = largest_share(trainer)
    if trainer.device.type == "cpu":
        free = free_memory()
        needed = _activations(trainer, 2) / 2
        while free is not None and micro > 2 and micro * needed > SPARE * free / trainer.ranks.world:
            micro = max(2, -(-micro // 2))
        return micro
    while True:
        try:
            _try(trainer, micro, largest)
            return micro
        except (RuntimeError, RecipeError) as error:  # RecipeError if a trick ran out of memory
            raised: BaseException = error
            while isinstance(raised, RecipeError) and raised.__cause__ is not None:
                raised = raised.__cause__
            if micro <= 2 or not may_be_out_of_memory(raised):
                raise
            micro = max(2, -(-micro // 2))
        finally:
            torch.cuda.empty_cache()


def largest_share(trainer: Trainer) -> int:
    """Return the largest number of images of a batch that any process gets."""
    batch, world = trainer.plan.training.batch, trainer.ranks.world
    parts = (share(batch, rank, world) for rank in range(world))
    return max(2, *(int(part.stop) - int(part.start) for part in parts))


def free_memory() -> int | None:
    """Return the bytes of memory available on this machine or in its container, or None if unknown."""
    limits = []
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")))
    with contextlib.suppress(OSError, ValueError, StopIteration):  # without a limit, the file contains `max`
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (CGROUP / "memory.stat").read_text().splitlines()
        cached = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))  # freed on demand
        limits.append(max(0, limit - used + cached))
    return min(limits) if limits else None


def settle(trainer: Trainer) -> None:
    """Let the gradient exchange fix its order, which happens on first use.

    Sums over three or more processes depend on this order, and a resumed run starts with a different one. Two images
    are enough, but torch compiles one graph per size, so a compiled model gets a size that it needs anyway.
    """
    if not trainer.ranks.several:
        return
    if trainer.plan.training.compile_mode is None:
        try_step(trainer, 2, trainer.parallel)
    else:
        side = trainer.resolution(trainer.images.size, trainer.progress())
        try_step(trainer, _at_a_time(trainer), trainer.parallel, side)


def _at_a_time(trainer: Trainer) -> int:
    """Return how many images of a whole batch a process computes at a time."""
    batch = trainer.plan.training.images(0, len(trainer.sets.train.labels))
    whole = batch.stop - batch.start
    mine = share(whole, trainer.ranks.rank, trainer.ranks.world)
    return sizes(mine.stop - mine.start or min(2, whole), trainer.micro, trainer.even(whole))[0]


def _try(trainer: Trainer, images: int, share: int) -> None:
    """Try a step, with room for a whole batch of inputs and two optimizer values per weight."""
    size = trainer.images.size
    held = [torch.empty(share, trainer.plan.training.channels, size, size, device=trainer.device)]
    held += [torch.empty_like(parameter) for parameter in trainer.model.parameters() for _ in range(2)]
    try_step(trainer, images)
    del held


def _activations(trainer: Trainer, images: int) -> int:
    """Return the bytes that ``images`` images keep for the backward pass."""
    seen: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in trainer.model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        try_step(trainer, images)
    return sum(seen.values())
