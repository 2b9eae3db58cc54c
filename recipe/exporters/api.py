"""`recipe.export`: a finished run's model in a form that needs nothing of this package."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import attrs
from torch import Tensor

from recipe.base import files
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import first_line
from recipe.exporters.formats import Format, find
from recipe.exporters.source_run import SourceRun, open_run
from recipe.plugins.sandbox import quiet
from recipe.plugins.vocabulary import Vocabulary

TOLERANCE = 1e-5
"""How far exported logits may be off, in units of the largest of the run's own."""


@attrs.frozen
class Exported:
    """The files of an export, and how far its logits are from the run's, in units of the largest of these.

    ``difference`` is None where the export can't be run here; ``unverified`` says why.
    """

    paths: tuple[Path, ...]
    difference: float | None
    unverified: str = ""


def export(
    folder: str | Path, *, to: str, out: str | Path | None = None, vocabulary: Vocabulary | None = None
) -> Exported:
    """Export the model of a finished run to a format that is installed, such as ``onnx``; see docs/export.md.

    ``out`` is the file to write (default: the folder's name in the current directory); Python source has its weights
    beside it. No file is written over. The export must give the logits of the run's own model for a fixed random
    batch, to 1e-5 of their scale. Raises `RecipeError`.
    """
    format = find(to)
    path = _default(Path(folder), format.suffix) if out is None else Path(out)
    if format.suffix == ".py" and path.suffix != ".py":
        raise fail("E111", f"`{path}` is no name for {format.name} source", help="its ending is `.py`")
    _see_free(path)
    run = open_run(Path(folder), vocabulary or Vocabulary.installed())
    if absent := format.absent:
        help = f"`pip install '{format.install or absent[0]}'` installs it"
        raise fail("E121", f"an export to {format.name} needs the package `{absent[0]}`", help=help)
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / path.name
        logits = _written(format, run, draft)
        difference = None if isinstance(logits, str) else _difference(run.logits, logits, to)
        beside = sorted(file for file in draft.parent.iterdir() if file != draft)
        paths = _publish([draft, *beside], path.parent)
    return Exported(paths, difference, logits if isinstance(logits, str) else "")


def _default(folder: Path, suffix: str) -> Path:
    """The file that an export is written to: of Python source, a name that can be imported and hides no module."""
    name = folder.resolve().name
    if suffix == ".py":
        name = re.sub(r"\W", "_", name)
        taken = sys.stdlib_module_names | {"torch", "torchvision", "timm", "safetensors", "PIL", "numpy"}
        if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
            name = f"model_{name}"
    return Path(name + suffix)


def _see_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise fail("E111", f"`{path}` is there already", help="name another file with --out")


def _written(format: Format, run: SourceRun, draft: Path) -> Tensor | str:
    """What a format's function returns; whatever it does wrong is reported as an error in its package."""

    def broken(why: str) -> RecipeError:
        return fail("E080", f"the format `{format.name.lower()}` of {format.package} is broken: {why}")

    try:
        with quiet():
            logits = format.write(run, draft)
    except (RecipeError, OSError):  # it refuses the run, or the disk is full
        raise
    except Exception as error:
        raise broken(first_line(error)) from error
    if not isinstance(logits, (Tensor, str)):
        raise broken(f"it returns a {type(logits).__name__}, neither logits nor why there are none")
    if not draft.is_file():
        raise broken("it has not written its file")
    return logits


def _publish(drafts: list[Path], folder: Path) -> tuple[Path, ...]:
    """Write all files or none, the first one last: source is there when its weights are."""
    paths = tuple(folder / draft.name for draft in drafts)
    for path in paths:
        _see_free(path)
    written: list[Path] = []
    for draft, path in reversed([*zip(drafts, paths, strict=True)]):
        try:
            with draft.open("rb") as content:
                files.write(path, partial(shutil.copyfileobj, content))
        except RecipeError:
            for other in written:
                other.unlink(missing_ok=True)
            raise
        written.append(path)
    return paths


def _difference(own: Tensor, exported: Tensor, to: str) -> float:
    """The largest difference of logits (N, K) in units of the largest logit (E122 where it is too large)."""
    scale = float(own.abs().max()) or 1.0
    difference = float((own - exported).abs().max()) / scale if own.shape == exported.shape else float("inf")
    if not difference <= TOLERANCE:  # nor where it is no number
        message = f"the export to {to} gives logits that are off by {difference:.1e} of their scale"
        raise fail("E122", message, help="nothing was written; `--to safetensors` keeps the weights as they are")
    return difference
