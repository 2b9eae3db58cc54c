"""The weights of the best evaluation so far, in `model.safetensors` of a run that keeps them.

The header of the file states the evaluation and a digest of the weights, so that a resumed run knows what the file
contains even if its checkpoint is older.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import ge, matches_re, min_len
from torch import Tensor

from recipe.base import files
from recipe.base.typed_json import MOST, Malformed, fitted, parsed
from recipe.runs.records import Evaluated
from recipe.runs.weights import NAME, packed

HEADER = "kept"
"""The name of the text in the header."""


@attrs.frozen(kw_only=True)
class Best:
    """An evaluation that was better than all before it, and the file with its weights."""

    epoch: float = attrs.field(validator=ge(0.0))
    step: int = attrs.field(validator=ge(0))
    by: str = attrs.field(validator=min_len(1))
    """The metric by which it was the best."""
    value: float
    """The value of that metric."""
    result: Evaluated
    """All its results."""
    content: str = attrs.field(validator=matches_re("[0-9a-f]{64}"))
    """The SHA-256 of the values of its weights, which doesn't depend on the header of the file."""
    sha256: str = attrs.field(default="", validator=matches_re("([0-9a-f]{64})?"))
    """The SHA-256 of the file. Empty in the header."""


def write_best(folder: Path, weights: dict[str, Tensor], digest: str, by: str, result: dict[str, Any]) -> Best:
    """Write the weights of an evaluation to a run folder, with the digest of their plan, and return what was written.

    Args:
        folder: The run folder.
        weights: The state dict that was evaluated.
        digest: The digest of the plan.
        by: The metric by which the evaluation is the best.
        result: Its results, as `Evaluated` has them.

    Raises:
        RecipeError: E111 if the file can't be written.
    """
    value = value_of(result, by)
    assert value is not None
    data = packed(weights, {"digest": digest})
    about = {"epoch": result["epoch"], "step": result["step"], "by": by, "value": value, "result": result}
    text = json.dumps({**about, "content": _content(data)}, sort_keys=True)
    data = _with_text(data, HEADER, text)
    files.write(folder / NAME, lambda file: file.write(data))
    return attrs.evolve(fitted(parsed(text.encode()), Best), sha256=hashlib.sha256(data).hexdigest())


@attrs.frozen
class KeptFile:
    """A file with the weights of a best evaluation: which one, the digest of the plan, and all its bytes."""

    best: Best
    digest: str
    data: bytes = attrs.field(repr=False)


def read_best(folder: Path) -> KeptFile | None:
    """Return the evaluation whose weights a run folder has. The weights are verified.

    None if the file is missing or damaged, or states no evaluation.
    """
    try:
        data = files.read(folder / NAME)
        texts = _texts(data[8 : 8 + _length(data[:8])])
        best = fitted(parsed(texts[HEADER].encode()), Best)
    except (OSError, Malformed, KeyError):
        return None
    if best.content != _content(data):
        return None
    return KeptFile(attrs.evolve(best, sha256=hashlib.sha256(data).hexdigest()), texts.get("digest", ""), data)


def kept_epoch(folder: Path) -> float | None:
    """Return the epoch whose weights a run folder has, or None if its file of weights doesn't state one.

    Reads only the header.
    """
    try:
        with files.opened(folder / NAME) as file:
            text = _texts(file.read(_length(file.read(8))))[HEADER]
            return fitted(parsed(text.encode()), Best).epoch
    except (OSError, Malformed, KeyError):
        return None


def value_of(result: dict[str, Any], metric: str) -> float | None:
    """Return the value of a metric in the results of an evaluation, or None if it doesn't have that metric."""
    value = result.get(metric, result.get("metrics", {}).get(metric))
    return None if value is None else float(value)


def _with_text(data: bytes, name: str, text: str) -> bytes:
    """Return the bytes of a safetensors file with another text in its header.

    The library writes several texts in a random order, but the files of two equal runs must be equal.
    """
    length = _length(data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = {**header.get("__metadata__", {}), name: text}
    packed = json.dumps(header, separators=(",", ":")).encode()
    packed += b" " * (-len(packed) % 8)  # so that the values are aligned
    return len(packed).to_bytes(8, "little") + packed + data[8 + length :]


def _content(data: bytes) -> str:
    """Return the SHA-256 of what follows the header of a safetensors file."""
    return hashlib.sha256(memoryview(data)[8 + _length(data[:8]) :]).hexdigest()


def _length(start: bytes) -> int:
    """Return the length of the header of a safetensors file, in bytes, from its first eight bytes."""
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > MOST:
        raise Malformed("is not a safetensors file")
    return length


def _texts(header: bytes) -> dict[str, str]:
    """Return the texts in the header of a safetensors file. Raises `Malformed`."""
    content = parsed(header)
    return fitted(content.get("__metadata__", {}) if isinstance(content, dict) else {}, dict[str, str])
