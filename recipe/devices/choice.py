"""The device of a run, its memory, and the context that makes its computations repeatable."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys
from collections.abc import Iterator

import torch

from recipe.base.errors import fail
from recipe.base.wording import plural, reason_of

OUT_OF_MEMORY = (
    "CUDA error: out of memory",  # from the driver, not from torch's allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",  # cuDNN 9: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "DefaultCPUAllocator: can't allocate memory",
)
"""Out-of-memory messages of the libraries that torch uses."""

MAYBE_OUT_OF_MEMORY = (
    "CUBLAS_STATUS_NOT_INITIALIZED",  # no memory for its handle
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "unable to find an engine to execute this computation",  # all engines of cuDNN needed more memory
)
"""Messages that may mean too little memory but also have other causes."""


HELP = "run `recipe doctor` to list the available devices"


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def world_size() -> int:
    """Return the number of processes that train together, as set by torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def pick(name: str | None = None) -> torch.device:
    """Return the device with a name such as ``cuda:1``. Default: this process's CUDA device, or else the CPU."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch("cpu|cuda(:[0-9]{1,3})?", name):
        help = "use `cpu`, `cuda`, or a number such as `cuda:1`; `recipe doctor` lists the available devices"
        raise fail("E110", f"recipes can train only on `cpu` and `cuda` devices, not on `{name}`", help=help)
    found = torch.cuda.device_count()
    if name != "cpu" and int(name[5:] or 0) >= found:
        there = f"this machine has {plural(found, 'CUDA device')}, and the first is `cuda:0`"
        reason = there if found else "no CUDA device found"
        raise fail("E110", f"the device `{name}` is unavailable: {reason}", help=HELP)
    if name == "cuda" and torch.cuda.is_available():
        # Each process on a machine has its own device. If a process sees only that one, it is the first.
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0) if torch.cuda.device_count() > 1 else 0}"
    elif name.startswith("cuda:") and world_size() > 1:
        raise fail(
            "E110", f"several processes can't share `{name}`", help="use `cuda`: each process gets its own device"
        )
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = reason_of(error).rstrip(".")
        raise fail("E110", f"the device `{name}` is unavailable: {reason}", help=HELP) from None
    if device.type == "cuda":
        torch.cuda.set_device(device)  # for code that uses the current device, such as threads that pin memory
    return device


@contextlib.contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Make computations in this context repeatable, and restore the caller's random state at the end.

    cuDNN selects only deterministic kernels, by heuristics instead of timing. All other settings remain the caller's.
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
    """Whether an error means that a device is out of memory."""
    return isinstance(error, torch.OutOfMemoryError) or _says(error, OUT_OF_MEMORY)


def may_be_out_of_memory(error: BaseException) -> bool:
    """Whether an error may be caused by too little memory, so that a retry with less memory may succeed."""
    return is_out_of_memory(error) or _says(error, MAYBE_OUT_OF_MEMORY)


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)


def peak_memory(device: torch.device) -> int:
    """Return this process's peak memory in bytes: of its tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
