"""`recipe.export`: write the model of a run in a form that doesn't depend on this package."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import attrs
from torch import Tensor, nn

from recipe.base import files
from recipe.base.errors import RecipeError, fail
from recipe.base.public import public
from recipe.base.wording import first_line, listing
from recipe.exporters.deployed import compared
from recipe.exporters.formats import Format, find, installed
from recipe.exporters.source_run import SourceRun, open_run
from recipe.inference.run import Run
from recipe.plugins.sandbox import quiet
from recipe.plugins.vocabulary import Vocabulary

Written = Tensor | tuple[Tensor, Tensor] | str
"""What a format's function returns: logits, inputs and probabilities, or the reason why it can't run the export."""

TOLERANCE = 1e-5
"""The largest allowed difference between exported logits and the run's, relative to the run's largest logit."""


@attrs.frozen
class Exported:
    """The result of an export."""

    paths: tuple[Path, ...]
    """The files that were written."""
    difference: float | None
    """The largest difference of a logit from the run's, relative to the run's largest logit, or with ``deploy``, the
    largest difference of a probability. None if not verified."""
    unverified: str = ""
    """The reason why the export can't be run on this machine, or empty."""
    note: str = ""
    """What may make the exported model another one than was trained, or empty."""
    shades: float | None = None
    """With ``deploy``, the largest difference of a channel of an input from that of the run's evaluation, in shades of
    0 to 255. None if not verified."""
    differing: float | None = None
    """With ``deploy``, the share of the channels of inputs that differ. None if not verified."""
    other_labels: int | None = None
    """With ``deploy``, the number of images with another top label, to which the run gives nearly the same probability.
    None if not verified."""


@public()
def export(
    run: str | Path | Run,
    *,
    to: str,
    out: str | Path | None = None,
    deploy: bool = False,
    base: nn.Module | None = None,
    plugins: Vocabulary | Sequence[str | Path] = (),
) -> Exported:
    """Export the model of a run. See docs/guides/export.md.

    For a fixed random batch, the logits of the export must match those of the run's own model. With ``deploy``, its
    inputs and probabilities for images of several sizes must match those of the run's evaluation.

    Args:
        run: The run folder, or a `Run`.
        to: The name of an installed format, such as ``onnx``, ``python`` or ``safetensors``.
        out: The file to write. Defaults to a file in the current directory, named after the run folder. Python source
            puts its weights next to it.
        deploy: Export a model that takes uint8 pixels of any size and returns labels with their probabilities.
        base: For a run of a model of your own, that model, before its rewrite. Its weights don't matter. Not needed for
            a `Run`.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.

    Returns:
        The written files, and the difference between the logits or, with ``deploy``, the probabilities and inputs.

    Raises:
        RecipeError: If the folder has no usable run, the format can't be used, a file already exists, or the logits
            differ by more than 1e-5 of the largest one. With ``deploy``, if inputs differ by more than one of 255
            shades, probabilities for the same inputs by more than 1e-4, or top labels differ. In all of these cases,
            nothing is written.
        TypeError: If an argument has the wrong type.
    """
    format = find(to)
    if deploy and format.deploy is None:
        able = [f"--to {name}" for name, other in installed()[0].items() if other.deploy]
        help = f"use {listing(able)}, or leave out --deploy"
        raise fail("E121", f"the format `{to}` can't export a model that takes pixels", help=help)
    folder = run.folder if isinstance(run, Run) else Path(run)
    path = _default(folder, format.suffix) if out is None else Path(out)
    if format.suffix == ".py" and path.suffix != ".py":
        raise fail("E111", f"`{path}` is not a valid name for {format.name} source", help="end the name in `.py`")
    files.see_free(path)
    if isinstance(run, Run) and not plugins:
        words = run.program.plan.vocabulary
    else:
        words = plugins if isinstance(plugins, Vocabulary) else Vocabulary.installed(plugins)
    if isinstance(run, Run) and base is None and run.program.module is not None:
        opened = SourceRun.of(run)
    else:
        opened = open_run(folder, words, base)
    views = opened.preprocessing.views
    if deploy and views != "single":
        message = f"the run's evaluation averages the predictions of several views (`{views}`), which no export does"
        raise fail("E121", message, help="leave out --deploy to export the network alone")
    format.check_installed(f"exporting to {format.name}", "E121")
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / path.name
        result = _written(format, opened, draft, deploy)
        exported = _verified(opened, result, to)
        beside = sorted(file for file in draft.parent.iterdir() if file != draft)
        paths = _publish([draft, *beside], path.parent)
    return attrs.evolve(exported, paths=paths)


def _default(folder: Path, suffix: str) -> Path:
    """Return the default file name of an export. For Python source, it is importable and shadows no module."""
    name = folder.resolve().name
    if suffix == ".py":
        name = re.sub(r"\W", "_", name)
        taken = sys.stdlib_module_names | {"torch", "torchvision", "timm", "safetensors", "PIL", "numpy"}
        if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
            name = f"model_{name}"
    return Path(name + suffix)


def _written(format: Format, run: SourceRun, draft: Path, deploy: bool) -> Written:
    """Call a format's function and return its result. Failures are reported as errors in the format's package."""
    function: Callable[[SourceRun, Path], Written] = format.deploy if deploy and format.deploy else format.write

    def broken(why: str) -> RecipeError:
        return fail("E080", f"the format `{format.name.lower()}` of {format.package} is broken: {why}")

    try:
        with quiet():
            result = function(run, draft)
    except (RecipeError, OSError):  # it refuses the run, or the disk is full
        raise
    except Exception as error:
        raise broken(first_line(error)) from error
    if deploy and not isinstance(result, str):
        if not (isinstance(result, tuple) and [isinstance(part, Tensor) for part in result] == [True, True]):
            raise broken(f"it returns a {type(result).__name__} instead of inputs and probabilities")
    elif not isinstance(result, (Tensor, str)):
        raise broken(f"it returns a {type(result).__name__} instead of logits or a reason why there are none")
    if not draft.is_file():
        raise broken("it did not write its file")
    return result


def _verified(run: SourceRun, result: Written, to: str) -> Exported:
    """Return the result of an export, without its paths. Raises `RecipeError` (E122) if it differs from the run."""
    if isinstance(result, str):
        return Exported((), None, result, run.note)
    if isinstance(result, Tensor):
        return Exported((), _difference(run.logits, result, to), "", run.note)
    found = compared(run, *result, to)
    return Exported((), found.probability, "", run.note, found.shades, found.differing, found.other_labels)


def _publish(drafts: list[Path], folder: Path) -> tuple[Path, ...]:
    """Write all files or none, the first one last, so that source never exists without its weights."""
    paths = tuple(folder / draft.name for draft in drafts)
    for path in paths:
        files.see_free(path)
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
