"""The device that a training uses, its memory, and the context that makes what it computes repeatable."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Iterator

import torch

from recipe.base.errors import fail
from recipe.base.wording import reason_of

OUT_OF_MEMORY = (
    "CUDA error: out of memory",  # of the driver, past torch's allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",  # cuDNN 9: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "DefaultCPUAllocator: can't allocate memory",
)
"""How the libraries under torch say that there is too little memory."""

MAYBE_OUT_OF_MEMORY = (
    "CUBLAS_STATUS_NOT_INITIALIZED",  # its handle found no room
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "unable to find an engine to execute this computation",  # every one of cuDNN's wanted more room than there was
)
"""What they also say for other reasons."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def world_size() -> int:
    """How many processes train together, from what torchrun sets."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def pick(name: str | None = None) -> torch.device:
    """The device of a name such as ``cuda:1``; by default the CUDA device of this process, or else the CPU."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        # Of several processes on a machine each has a device; where each sees its own alone, that is the first.
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0) if torch.cuda.device_count() > 1 else 0}"
    elif name.startswith("cuda:") and world_size() > 1:
        raise fail("E110", f"several processes can't share `{name}`", help="say `cuda`: each takes a device of its own")
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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device has too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or _says(error, OUT_OF_MEMORY)


def may_be_out_of_memory(error: BaseException) -> bool:
    """Whether an error may come of too little memory, so that it is worth trying with less."""
    return is_out_of_memory(error) or _says(error, MAYBE_OUT_OF_MEMORY)


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held so far: on a GPU in tensors, on a CPU of the machine's memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
