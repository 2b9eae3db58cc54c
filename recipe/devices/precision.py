"""Precision: the number format a device computes in, substituted if the requested one is not fast on it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any

import attrs
import torch

from recipe.base.caller import option
from recipe.base.errors import fail
from recipe.base.wording import listing

NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}

BF16 = "RECIPE_CPU_BF16"
"""The environment variable that overrides the CPU's support for bf16 with one of `WAYS`. Meant for tests."""
WAYS = ("none", "slow", "fast")


def cpu_bf16() -> str:
    """Return how this CPU multiplies bf16 in hardware: `fast` with a matrix unit, `slow` without, `none` if it can't.

    If `slow`, bf16 takes longer than fp32 (see docs/benchmarks.md). `RECIPE_CPU_BF16` overrides what the hardware
    reports. Raises `RecipeError` (E110) if its value is not one of the three.
    """
    if held := os.environ.get(BF16):
        if held not in WAYS:
            help = f"set it to one of {listing(WAYS)}, or unset it"
            raise fail("E110", f"invalid value `{held}` for `{BF16}`", help=help)
        return held
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        matrix = any(capabilities.get(name) for name in ("amx_bf16", "bf16", "arm_bf16"))
        return "fast" if matrix else "slow" if capabilities.get("avx512_bf16") else "none"
    if torch.cpu._is_amx_tile_supported():
        return "fast"
    return "slow" if torch.cpu._is_avx512_bf16_supported() else "none"


@attrs.frozen
class Precision:
    """The precision that a device computes in, and the reason if it is not the requested one."""

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
        """A one-line note about the substitution, or an empty string if there is none."""
        return f"precision {self.asked} runs as {self.name}: {self.reason}" if self.name != self.asked else ""

    def suited(self, narrow: str, strict: bool = False) -> Precision:
        """Return the precision that computes right gradients of a model: on a CPU, not bf16 if a layer is too narrow.

        ``narrow`` is the name of a convolution whose stride exceeds its input, or empty. With ``strict``, a
        substitution is E110. Its weight gradient in bf16 contains whatever was in memory (torch 2.14).
        """
        if not narrow or self.device.type != "cpu" or self.dtype is not torch.bfloat16:
            return self
        reason = f"on CPUs, torch's bf16 gradient of `{narrow}`, whose stride is larger than its input, is wrong"
        return _checked(attrs.evolve(self, dtype=torch.float32, scaled=False, reason=reason), strict)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for forward computations."""
        if self.dtype is torch.float32:
            return torch.autocast(self.device.type, enabled=False)
        return torch.autocast(self.device.type, self.dtype)


def precision(asked: str, device: torch.device, strict: bool = False) -> Precision:
    """Return the precision that a device uses for `precision asked`. With ``strict``, a substitution is E110."""
    dtype = {name: dtype for dtype, name in NAMES.items()}[asked]
    reason = ""
    if device.type == "cpu" and dtype is not torch.float32:
        way = cpu_bf16()
        if way == "none":
            dtype, reason = torch.float32, "this CPU has no hardware support for fp16 or bf16"
        elif dtype is torch.float16 and way == "fast":
            dtype, reason = torch.bfloat16, "CPUs have no fast fp16, but this one has fast bf16"
        elif dtype is torch.float16:
            dtype, reason = torch.float32, "this CPU has no matrix unit for fp16 or bf16"
    elif device.type == "cuda" and dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported(False):
        dtype, reason = torch.float16, "this GPU does not support bf16"
    return _checked(Precision(asked, dtype, dtype is torch.float16, device, reason), strict)


def _checked(chosen: Precision, strict: bool) -> Precision:
    if strict and chosen.note:
        help = f"remove {option('--strict')}, or choose a precision that the device supports"
        message = f"`precision {chosen.asked}` is unavailable on `{chosen.device}`: {chosen.reason}"
        raise fail("E110", message, help=help)
    return chosen
