"""`recipe.export`: a finished run's model in a form that needs nothing of this package."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO

import attrs
from torch import Tensor

from recipe.base import files
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import listing
from recipe.exporters import onnx, python, safetensors
from recipe.exporters.source_run import SourceRun, open_run
from recipe.plugins.vocabulary import Vocabulary

TOLERANCE = 1e-5
"""How far exported logits may be off, in units of the largest of the run's own."""

Made = tuple[tuple[bytes, ...], Tensor | None]
"""The contents of each file, and the logits of `SourceRun.images` by what is in them; None where they can't be had."""

FORMATS: Mapping[str, tuple[tuple[str, ...], Callable[[SourceRun], Made]]] = {
    "safetensors": ((".safetensors",), safetensors.make),
    "onnx": ((".onnx",), onnx.make),
    "python": ((".py", ".weights.safetensors"), python.make),
}
"""For each format, the endings of its files, and what makes their contents."""


@attrs.frozen
class Exported:
    """The files of an export, and how far its logits are from the run's, in units of the largest of these.

    ``difference`` is None where nothing is installed that could run the export.
    """

    paths: tuple[Path, ...]
    difference: float | None


def export(
    folder: str | Path, *, to: str, out: str | Path | None = None, vocabulary: Vocabulary | None = None
) -> Exported:
    """Export the model of a finished run: ``to`` is ``safetensors``, ``onnx`` or ``python``; see docs/export.md.

    ``out`` is the file to write (default: the folder's name in the current directory); Python source has its weights
    beside it. No file is written over. The export must give the logits of the run's own model for a fixed random
    batch, to 1e-5 of their scale. Raises `RecipeError`.
    """
    if to not in FORMATS:
        raise fail("E121", f"there is no export to `{to}`", help=f"formats are {listing(FORMATS)}")
    endings, make = FORMATS[to]
    paths = _paths(Path(folder), endings, out)
    run = open_run(Path(folder), vocabulary or Vocabulary.installed())
    contents, logits = make(run)
    difference = None if logits is None else _difference(run.logits, logits, to)
    _write([*zip(paths, contents, strict=True)])
    return Exported(paths, difference)


def _paths(folder: Path, endings: tuple[str, ...], out: str | Path | None) -> tuple[Path, ...]:
    """The files to write, none of which may be there (else E111)."""
    if out is None:
        name = folder.resolve().name
        out = (_module_name(name) if ".py" in endings else name) + endings[0]
    first = Path(out)
    if len(endings) > 1 and first.suffix != endings[0]:
        raise fail("E111", f"`{first}` is no name for Python source", help=f"its ending is `{endings[0]}`")
    paths = (first, *(first.with_suffix(ending) for ending in endings[1:]))
    for path in paths:
        if path.exists() or path.is_symlink():
            raise fail("E111", f"`{path}` is there already", help="name another file with --out")
    return paths


def _write(contents: list[tuple[Path, bytes]]) -> None:
    """Write all files or none, the last first: source is there when its weights are."""
    for index, (path, content) in reversed([*enumerate(contents)]):
        try:
            files.write(path, partial(_fill, content))
        except RecipeError:
            for written, _ in contents[index + 1 :]:
                written.unlink(missing_ok=True)
            raise


def _fill(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _module_name(name: str) -> str:
    """A name as one that Python can import, and that hides no module."""
    plain = re.sub(r"\W", "_", name)
    taken = sys.stdlib_module_names | {"torch", "torchvision", "timm", "safetensors", "PIL", "numpy"}
    return plain if plain.isidentifier() and not keyword.iskeyword(plain) and plain not in taken else f"model_{plain}"


def _difference(own: Tensor, exported: Tensor, to: str) -> float:
    """The largest difference of logits (N, K) in units of the largest logit (E122 where it is too large)."""
    scale = float(own.abs().max()) or 1.0
    difference = float((own - exported).abs().max()) / scale if own.shape == exported.shape else float("inf")
    if not difference <= TOLERANCE:  # nor where it is no number
        message = f"the export to {to} gives logits that are off by {difference:.1e} of their scale"
        raise fail("E122", message, help="nothing was written; `--to safetensors` keeps the weights as they are")
    return difference
