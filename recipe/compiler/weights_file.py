"""Read safetensors files that a recipe names. They may be damaged or hostile: what can't be read is an error (E001)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import system_reason

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl")
"""Endings of files that torch.save writes. Reading them can run code."""

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "C64": "complex64", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32",
    "U64": "uint64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
}  # fmt: skip
"""The name in torch of each type in a header."""


def safetensors_meta(path: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file on the meta device: their shapes and types. Reads only the header.

    Raises `RecipeError` (E001).
    """
    with _opened(path) as file:
        return {name: _meta(path, file.get_slice(name)) for name in file.keys()}  # noqa: SIM118


def safetensors_about(path: str) -> dict[str, str]:
    """Return the texts in the header of a safetensors file, by name. Raises `RecipeError` (E001)."""
    with _opened(path) as file:
        return dict(file.metadata() or {})


def load_safetensors(path: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file. Raises `RecipeError` (E001)."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _meta(path: str, part: Any) -> torch.Tensor:
    kind = part.get_dtype()
    if kind not in DTYPES:
        raise fail("E001", f"`{Path(path).name}` has tensors of the type {kind}", help="convert them to F32")
    return torch.empty(part.get_shape(), dtype=getattr(torch, DTYPES[kind]), device="meta")


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    _check(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except RecipeError:
        raise
    except FileNotFoundError:
        raise fail("E001", f"file not found: `{path}`") from None
    except (OSError, SafetensorError, ValueError, RuntimeError, TypeError):
        # The message may quote the file, and an untrusted recipe may name any file.
        raise fail("E001", f"`{Path(path).name}` is not a safetensors file", help=_help(path)) from None


def _check(path: str) -> None:
    """Raise `RecipeError` (E001) for anything but a regular file. Opening a pipe would wait forever."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            open(path, "rb").close()  # the reason why it can't be opened, such as missing permission
    except FileNotFoundError:
        raise fail("E001", f"file not found: `{path}`") from None
    except (OSError, ValueError) as error:
        raise fail("E001", f"`{path}` can't be read: {system_reason(error)}") from None
    if stat.S_ISDIR(mode):
        help = "name a file in it, such as `model.safetensors` in the folder of a run"
        raise fail("E001", f"`{path}` is a folder, not a safetensors file", help=help)
    if not stat.S_ISREG(mode):
        raise fail("E001", f"`{path}` is not a regular file", help="name a safetensors file")


def _help(path: str) -> str:
    if Path(path).suffix.lower() not in PICKLES:
        return "name a file that `safetensors.torch.save_file` or `recipe run` wrote"
    read = f'torch.load("{Path(path).name}", weights_only=True)'
    return f'convert it in Python: `safetensors.torch.save_file({read}, "weights.safetensors")`'
