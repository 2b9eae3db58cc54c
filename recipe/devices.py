"""The device that a training uses, and what it does in place of a number format that it has no fast form of."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Any

import attrs
import torch

from recipe.diagnostics import fail, listing

NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


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
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise fail("E110", f"there is no device `{name}` here: {reason}", help="`recipe doctor` lists them") from None
    if device.type not in ("cpu", "cuda"):
        raise fail("E110", f"recipes train on `cpu` and `cuda` devices, not on `{name}`")
    if device.type == "cuda":
        torch.cuda.set_device(device)  # what takes the current device, as a thread that pins memory does, takes this
    return device


BF16 = "RECIPE_CPU_BF16"
"""The environment variable that overrides the CPU's support for bf16 with one of `WAYS`. Meant for tests."""
WAYS = ("none", "slow", "fast")


def cpu_bf16() -> str:
    """How this CPU multiplies bf16 in hardware: `fast` with a matrix unit, `slow` without one, `none` not at all.

    In the slow way bf16 takes longer than fp32 (see docs/benchmarks.md). `RECIPE_CPU_BF16` overrides what the hardware
    reports. Raises `RecipeError` (E110) where that is none of the three.
    """
    if held := os.environ.get(BF16):
        if held not in WAYS:
            raise fail("E110", f"`{BF16}` is `{held}`", help=f"set it to one of {listing(WAYS)}, or unset it")
        return held
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        matrix = any(found.get(name) for name in ("amx_bf16", "bf16", "arm_bf16"))
        return "fast" if matrix else "slow" if found.get("avx512_bf16") else "none"
    if torch.cpu._is_amx_tile_supported():
        return "fast"
    return "slow" if torch.cpu._is_avx512_bf16_supported() else "none"


@attrs.frozen
class Precision:
    """The number format that a device computes in, with the reason where it is not the one that was asked for."""

    asked: str
    dtype: torch.dtype
    scaled: bool
    device: torch.device
    reason: str = ""

    @property
    def name(self) -> str:
        return NAMES[self.dtype]

    @property
    def note(self) -> str:
        """One line on the substitution; empty where there is none."""
        return f"precision {self.asked} runs as {self.name}: {self.reason}" if self.name != self.asked else ""

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of forward computations."""
        if self.dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def precision(asked: str, device: torch.device, strict: bool = False) -> Precision:
    """What a device does for `precision asked`; with ``strict`` a substitution is an error (E110)."""
    dtype = {name: dtype for dtype, name in NAMES.items()}[asked]
    reason = ""
    if device.type == "cpu" and dtype is not torch.float32:
        way = cpu_bf16()
        if way == "none":
            dtype, reason = torch.float32, "this CPU multiplies neither fp16 nor bf16 in hardware"
        elif dtype is torch.float16 and way == "fast":
            dtype, reason = torch.bfloat16, "a CPU has no fast fp16, and this one has bf16"
        elif dtype is torch.float16:
            dtype, reason = torch.float32, "this CPU has a matrix unit for neither fp16 nor bf16"
    elif device.type == "cuda" and dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported(False):
        dtype, reason = torch.float16, "this GPU has no bf16"
    found = Precision(asked, dtype, dtype is torch.float16, device, reason)
    if strict and found.note:
        help = "leave --strict out, or state a precision that the device has"
        raise fail("E110", f"`precision {asked}` is not to be had on `{device}`: {reason}", help=help)
    return found


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device has too little memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def may_be_out_of_memory(error: BaseException) -> bool:
    """Whether an error may come of too little memory, so that it is worth trying with less."""
    maybe = isinstance(error, RuntimeError) and any(words in str(error) for words in MAYBE_OUT_OF_MEMORY)
    return maybe or is_out_of_memory(error)


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held so far: on a GPU in tensors, on a CPU of the machine's memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def environment(device: torch.device, found: Precision, plugins: Iterable[str] = ()) -> dict[str, Any]:
    """What a run's `environment.json` records: versions, also of the packages whose tricks it uses, and the device."""
    packages = ["recipe-compiler", "torch", "torchvision", "numpy", "attrs", "lark", "timm", *plugins]
    described = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else (platform.processor() or platform.machine())
    )
    return {
        "schema_version": 1,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in packages if (version := _version(name))},
        "device": str(device),
        "device_name": described,
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "precision": found.name,
    }
