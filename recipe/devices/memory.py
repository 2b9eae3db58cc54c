"""The memory of a device: how much is used, and errors that say it is full."""

from __future__ import annotations

import resource
import sys

import torch

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
