"""JSON documents with a checksum of their own, so that a changed value is noticed when they are read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from recipe.base import files
from recipe.base.identity import digest
from recipe.base.typed_json import MOST, Malformed, fitted, parsed

T = TypeVar("T")

KEY = "checksum"


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object with its checksum. Raises `RecipeError` (E111)."""
    files.write_json(path, {**content, KEY: _checksum(content)})


def read_sealed(path: Path, kind: type[T]) -> T:
    """Return the content of such a file as a ``kind``, which doesn't have the checksum.

    Raises `OSError` if it can't be read, and `Malformed` if its content or its checksum does not fit.
    """
    content = parsed(files.read(path, MOST))
    if not isinstance(content, dict) or KEY not in content:
        raise Malformed(f"has no `{KEY}`")
    return fitted(opened_seal(content), kind)


def opened_seal(content: Any) -> dict[str, Any]:
    """Return a JSON object without its checksum, which is verified unless an earlier release wrote none.

    Raises `Malformed` if the checksum is wrong, or the value is no object.
    """
    if not isinstance(content, dict):
        raise Malformed("does not fit: it is not an object")
    rest = {name: value for name, value in content.items() if name != KEY}
    if KEY in content and content[KEY] != _checksum(rest):
        raise Malformed("has been changed since it was written: its checksum is wrong")
    return rest


def _checksum(content: dict[str, Any]) -> str:
    return digest(json.dumps(content, sort_keys=True).encode())
