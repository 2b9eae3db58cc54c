"""Read files of weights that a recipe names: safetensors, or what torch.save writes.

The content decides the format, not the name. Files may be damaged or hostile: nothing in them is run, and what can't be
read is an error (E001).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import attrs
import torch
from torch import Tensor

from recipe.base import files
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import near_file, shown_path, system_reason
from recipe.compiler.state_dict import state_dict
from recipe.compiler.torch_file import TorchFile, Unsupported, from_pickles, from_zip
from recipe.compiler.torch_pickle import Recorded

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "C64": "complex64", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32",
    "U64": "uint64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
}  # fmt: skip
"""The name in torch of each type in the header of a safetensors file."""

READS = "name a file that `safetensors.torch.save_file`, `torch.save` or `recipe run` wrote"

POINTER = b"version https://git-lfs"
"""How the placeholder begins that Git leaves of a large file."""


@attrs.frozen(eq=False)
class Weights(Mapping[str, Tensor]):
    """Pretrained weights: tensors by name, and what to tell about them."""

    tensors: Mapping[str, Tensor]
    """The tensors, or those that are known before they are loaded."""
    notes: tuple[str, ...] = ()
    """Clauses about where the tensors are from, such as ``from `state_dict_ema` ``."""
    unknown: str = ""
    """Why the tensors are not known before they are loaded, such as a file that is not downloaded yet, or empty."""

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def read_file(path: str, *, meta: bool = False) -> Weights:
    """Return the weights in a file.

    Args:
        path: The file: safetensors, a state dict that torch.save wrote, or the checkpoint of a trainer that has one.
        meta: Whether to return them on the meta device, which reads their names, shapes and types alone.

    Raises:
        RecipeError: If the file can't be read, or has no weights (E001).
    """
    with _opened(path) as file:
        if _is_safetensors(file):
            return Weights(_safetensors_meta(path) if meta else _safetensors(path))
        opened = _torch_file(file)
        found = state_dict(opened.content)
        if meta:
            return Weights({name: tensor.on_meta() for name, tensor in found.tensors.items()}, found.notes)
        return Weights(opened.tensors(found.tensors), found.notes)


def file_about(path: str) -> dict[str, str]:
    """Return the texts that a file of weights has about itself, by name: the header of a safetensors file.

    Of the checkpoint of a run, that is the digest of its recipe. Raises `RecipeError` (E001).
    """
    with _opened(path) as file:
        if _is_safetensors(file):
            with _safe_open(path) as tensors:
                return dict(tensors.metadata() or {})
        content = _torch_file(file).content
        is_ours = isinstance(content, Recorded) and "steps_per_epoch" in content
        digest = content.get("digest") if is_ours else None
        return {"digest": digest} if isinstance(digest, str) else {}


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file. Raises `RecipeError` (E001) for whatever is wrong with it, also within the context."""
    name = shown_path(path)
    try:
        with files.opened(path) as file:
            yield file
    except RecipeError:
        raise
    except FileNotFoundError:
        raise fail("E001", f"file not found: `{path}`", help=near_file(path)) from None
    except IsADirectoryError:
        help = "name the folder of a run, or a file of weights"
        raise fail("E001", f"`{path}` is a folder without a run", help=help) from None
    except OSError as error:
        raise fail("E001", f"`{path}` can't be read: {system_reason(error)}", help=READS) from None
    except Unsupported as error:
        what, help = error.args
        raise fail("E001", f"`{name}` {what}", help=help) from None
    except MemoryError:
        raise fail("E001", f"`{name}` can't be read: not enough memory") from None
    except Exception:  # of a damaged or hostile file. Its message may quote a file that a stranger's recipe names.
        raise fail("E001", f"`{name}` is damaged, or not a file of weights", help=READS) from None


def _is_safetensors(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(9)[8:] == b"{"


def _torch_file(file: IO[bytes]) -> TorchFile:
    """Open what torch.save wrote. Raises `Unsupported` for another format."""
    file.seek(0)
    head = file.read(len(POINTER))
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return from_zip(file)
    if head.startswith(b"\x80"):
        return from_pickles(file)
    if not head:
        raise Unsupported("is empty", READS)
    if head == POINTER:
        raise Unsupported("is a placeholder of Git LFS, not the file itself", "download it with `git lfs pull`")
    if head.lstrip().startswith(b"<"):
        raise Unsupported("is a web page, not a file of weights", "download the file itself")
    raise Unsupported("is damaged, or not a file of weights", READS)


def _safetensors_meta(path: str) -> dict[str, Tensor]:
    with _safe_open(path) as file:
        return {name: _meta(path, file.get_slice(name)) for name in file.keys()}  # noqa: SIM118


def _safetensors(path: str) -> dict[str, Tensor]:
    with _safe_open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _meta(path: str, part: Any) -> Tensor:
    kind = part.get_dtype()
    if kind not in DTYPES:
        raise fail("E001", f"`{shown_path(path)}` has tensors of the type {kind}", help="convert them to F32")
    return torch.empty(part.get_shape(), dtype=getattr(torch, DTYPES[kind]), device="meta")


@contextlib.contextmanager
def _safe_open(path: str) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except RecipeError:
        raise
    except (OSError, SafetensorError, ValueError, RuntimeError, TypeError):
        raise fail("E001", f"`{shown_path(path)}` is not a safetensors file", help=READS) from None
