"""`recipe.export`: write the model of a finished run in a form that doesn't depend on this package."""

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
from recipe.base.public import public
from recipe.base.wording import first_line
from recipe.exporters.formats import Format, find
from recipe.exporters.source_run import SourceRun, open_run
from recipe.plugins.sandbox import quiet
from recipe.plugins.vocabulary import Vocabulary

TOLERANCE = 1e-5
"""The largest allowed difference between exported logits and the run's, relative to the run's largest logit."""


@attrs.frozen
class Exported:
    """The result of an export."""

    paths: tuple[Path, ...]
    """The files that were written."""
    difference: float | None
    """The largest difference of a logit from the run's, relative to the run's largest logit; None if not verified."""
    unverified: str = ""
    """The reason why the export can't be run on this machine, or empty."""
    note: str = ""
    """What may make the exported model another one than was trained, or empty."""


@public()
def export(
    folder: str | Path, *, to: str, out: str | Path | None = None, vocabulary: Vocabulary | None = None
) -> Exported:
    """Export the model of a finished run. See docs/guides/export.md.

    For a fixed random batch, the logits of the export must match those of the run's own model.

    Args:
        folder: The run folder.
        to: The name of an installed format, such as ``onnx``, ``python`` or ``safetensors``.
        out: The file to write. Defaults to a file in the current directory, named after the run folder. Python source
            puts its weights next to it.
        vocabulary: The known tricks. Defaults to those of installed packages.

    Returns:
        The written files, and the difference between the logits.

    Raises:
        RecipeError: If the folder has no finished run, the format can't be used, a file already exists, or the logits
            differ by more than 1e-5 of the largest one. In all of these cases, nothing is written.
        TypeError: If an argument has the wrong type.
    """
    format = find(to)
    path = _default(Path(folder), format.suffix) if out is None else Path(out)
    if format.suffix == ".py" and path.suffix != ".py":
        raise fail("E111", f"`{path}` is not a valid name for {format.name} source", help="end the name in `.py`")
    _see_free(path)
    run = open_run(Path(folder), vocabulary or Vocabulary.installed())
    if absent := format.absent:
        help = f"install it with `pip install '{format.install or absent[0]}'`"
        raise fail("E121", f"exporting to {format.name} requires the package `{absent[0]}`", help=help)
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / path.name
        logits = _written(format, run, draft)
        difference = None if isinstance(logits, str) else _difference(run.logits, logits, to)
        beside = sorted(file for file in draft.parent.iterdir() if file != draft)
        paths = _publish([draft, *beside], path.parent)
    return Exported(paths, difference, logits if isinstance(logits, str) else "", run.note)


def _default(folder: Path, suffix: str) -> Path:
    """Return the default file name of an export. For Python source, it is importable and shadows no module."""
    name = folder.resolve().name
    if suffix == ".py":
        name = re.sub(r"\W", "_", name)
        taken = sys.stdlib_module_names | {"torch", "torchvision", "timm", "safetensors", "PIL", "numpy"}
        if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
            name = f"model_{name}"
    return Path(name + suffix)


def _see_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise fail("E111", f"`{path}` already exists", help="choose another file with --out")


def _written(format: Format, run: SourceRun, draft: Path) -> Tensor | str:
    """Call a format's function and return its result. Failures are reported as errors in the format's package."""

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
        raise broken(f"it returns a {type(logits).__name__} instead of logits or a reason why there are none")
    if not draft.is_file():
        raise broken("it did not write its file")
    return logits


def _publish(drafts: list[Path], folder: Path) -> tuple[Path, ...]:
    """Write all files or none, the first one last, so that source never exists without its weights."""
    paths = tuple(folder / draft.name for draft in drafts)
    for path in paths:
        _see_free(path)
    begun: list[Path] = []
    try:
        for draft, path in reversed([*zip(drafts, paths, strict=True)]):
            begun.append(path)
            with draft.open("rb") as content:
                files.write(path, partial(shutil.copyfileobj, content))
    except BaseException:  # also Ctrl-C
        for path in begun:
            files.remove(path)
        raise
    return paths


def _difference(own: Tensor, exported: Tensor, to: str) -> float:
    """Return the largest difference between logits (N, K), relative to the largest logit. Raises E122 if too large."""
    scale = float(own.abs().max()) or 1.0
    difference = float((own - exported).abs().max()) / scale if own.shape == exported.shape else float("inf")
    if not difference <= TOLERANCE:  # also true for NaN
        message = f"the logits of the export to {to} are off by {difference:.1e} of their scale"
        raise fail("E122", message, help="use `--to safetensors` to save the weights alone; nothing was written")
    return difference
