"""The device that a training uses, and the context that makes it repeatable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from recipe.base.errors import fail
from recipe.base.wording import reason_of


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def world_size() -> int:
    """How many processes train together, from what torchrun sets."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def pick(name: str | None = None) -> torch.device:
    """The device of a name such as ``cuda:1``; without one, the CUDA device of this process where
    there is one, else the CPU."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        # Of several processes on a machine each has a device; where each sees its own alone, that is the first.
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0) if torch.cuda.device_count() > 1 else 0}"
    elif name.startswith("cuda:") and world_size() > 1:
        raise fail("E110", f"several processes can't share `{name}`", help="say `cuda`: each takes a device of its own")
    if name == "cpu":
        return torch.device(name)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = reason_of(error).rstrip(".")
        raise fail("E110", f"there is no device `{name}` here: {reason}", help="`recipe doctor` lists them") from None
    if device.type not in ("cpu", "cuda"):
        raise fail("E110", f"recipes train on `cpu` and `cuda` devices, not on `{name}`")
    if device.type == "cuda":
        torch.cuda.set_device(device)  # what takes the current device, as a thread that pins memory does, takes this
    return device


@contextlib.contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """The context of a training: what is computed comes out the same each time, and the caller's randomness stays.

    cuDNN chooses kernels by rules, not by timing, and among those that compute the same each time. All other settings
    stay the caller's.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before
