"""The weights of a finished run, in `model.safetensors`. Its summary has their digest, which is checked on reading."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.base import files
from recipe.base.typed_json import Malformed
from recipe.runs.reader import read_summary

if TYPE_CHECKING:
    from torch import Tensor

NAME = "model.safetensors"


def packed(weights: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Return the bytes of a safetensors file with a state dict and text metadata."""
    from safetensors.torch import save as pack

    return pack({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}, metadata)


def save_weights(path: Path, weights: dict[str, Tensor], digest: str) -> str:
    """Save a state dict as safetensors, with the digest of its plan. Return the SHA-256 of the file."""
    data = packed(weights, {"digest": digest})
    files.write(path, lambda file: file.write(data))
    return hashlib.sha256(data).hexdigest()


def packed_weights(folder: Path) -> bytes:
    """Return the bytes of a finished run's weights, to be unpacked by `unpacked`.

    Raises `OSError` or `Malformed` if they or the summary can't be read, or they are not those that the summary names.
    """
    data = files.read(folder / NAME)
    expected = read_summary(folder).get("weights_sha256")  # earlier releases did not write it
    if expected is not None and hashlib.sha256(data).hexdigest() != expected:
        raise Malformed("does not have the digest that summary.json names")
    return data


def unpacked(data: bytes) -> dict[str, Tensor]:
    """Return the tensors in the bytes of a safetensors file. Raises `Malformed`."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:  # the last two for types that torch does not have
        raise Malformed(f"is not a safetensors file: {error}") from error
