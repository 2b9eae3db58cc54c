"""``recipe predict``: classify images with the model of a run, or the pretrained model of a recipe."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.printable import printable
from recipe.base.terminal import redraws
from recipe.base.wording import plural
from recipe.cli import completion
from recipe.cli.inputs import plugin_option, source_of, tell_lost, vocabulary
from recipe.plan.bind import bind
from recipe.runs.recipe_lock import open_lock

if TYPE_CHECKING:
    from recipe.inference.predictions import Prediction
    from recipe.inference.pretrained import PretrainedModel
    from recipe.inference.run import Run
    from recipe.plan.plan import Plan
    from recipe.plugins.vocabulary import Vocabulary


@click.command("predict", short_help="Classify images with a trained model.")
@click.argument("run", metavar="RUN|RECIPE", shell_complete=completion.recipes)
@click.argument("images", nargs=-1, required=True, metavar="IMAGES…", shell_complete=completion.files)
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="Classes per image.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a header.")
@click.option("--jsonl", "as_jsonl", is_flag=True, help="Print a JSON object per line.")
@click.option(
    "--batch", type=click.IntRange(1), help="Images computed at a time. Default: the run's batch, at most 256."
)
@click.option("--device", metavar="DEVICE", help="The device. Default: the first CUDA device, or the CPU.")
@plugin_option
def command(
    run: str,
    images: tuple[str, ...],
    top: int,
    as_csv: bool,
    as_jsonl: bool,
    batch: int | None,
    device: str | None,
    plugins: tuple[str, ...],
) -> None:
    """Classify images with the model of a run, or with pretrained weights.

    RUN is the run folder, which is all that is needed. RECIPE is a recipe whose model has pretrained weights, which is
    used as it is. IMAGES are files, folders, patterns in quotes, or `-` for a list of paths on standard input. Images
    that can't be read are named, and the exit status is then 1.

    \b
    The three most likely classes of each image in a folder, as JSON:
        recipe predict runs/first photos --top 3 --jsonl
    """
    from recipe.inference.listing import images_named

    if as_csv and as_jsonl:
        raise click.UsageError("--csv and --jsonl exclude each other")
    if run == "-" and "-" in images:
        raise click.UsageError("`-` can stand for the recipe or for a list of images, but not for both")
    words = vocabulary(plugins)
    errors = list[Diagnostic]()
    try:
        plan = _plan(run, words)
    except RecipeError as error:
        errors += error.diagnostics
    try:
        paths, notes = images_named(images, sys.stdin.buffer if sys.stdin is not None else None)
    except RecipeError as error:
        errors += error.diagnostics
    if errors:
        raise RecipeError(*errors)
    opened, told = _opened(run, plan, device, words)
    for note in (*notes, *told):
        click.echo(printable(note), err=True)
    predicted = opened.predicting(paths, top=top, batch=batch, skip=True)
    write = _csv if as_csv else _jsonl if as_jsonl else _table
    unread = write(_shown(predicted, len(paths)), paths, min(top, opened.program.classes))
    if unread:
        click.echo(f"{unread} of {plural(len(paths), 'image')} can't be read", err=True)
    click.get_current_context().exit(1 if unread else 0)


def _plan(run: str, words: Vocabulary) -> Plan | None:
    """Return the plan of a recipe, or None for a run folder. Raises `RecipeError` for what is neither."""
    if not os.path.isdir(run):
        return bind([source_of(run, words.verbs())], words)
    open_lock(Path(run))
    return None


def _opened(
    run: str, plan: Plan | None, device: str | None, words: Vocabulary
) -> tuple[Run | PretrainedModel, list[str]]:
    """Return the model of a run folder, or of the plan of a recipe, and what to tell about it."""
    if plan is None:
        tell_lost(run)
        from recipe.inference.opened import load

        opened = load(run, device=device, plugins=words)
        return opened, [f"warning: {opened.note}"] if opened.note else []
    from recipe.inference.pretrained import pretrained

    found = pretrained(plan, device=device)
    return found, [f"note: {note}" for note in found.notes]


def _shown(predicted: Iterable[Prediction], total: int) -> Iterator[Prediction]:
    """Yield predictions, report those that failed, and show the progress if standard error is a terminal."""
    with contextlib.ExitStack() as held:
        advance: Callable[[], object] = lambda: None  # noqa: E731
        if redraws(sys.stderr) and not sys.stdout.isatty():
            from rich.console import Console
            from rich.progress import Progress

            bar = held.enter_context(Progress(console=Console(stderr=True), transient=True))
            task = bar.add_task("images", total=total)
            advance = lambda: bar.advance(task)  # noqa: E731
        for prediction in predicted:
            if prediction.error:
                click.echo(f"error: {printable(prediction.error)}", err=True)
            advance()
            yield prediction


def _table(predicted: Iterable[Prediction], paths: list[Path], top: int) -> int:
    """Print an image per line: its path, and each class with its probability. Return how many can't be read."""
    errors, width = 0, max(len(printable(path)) for path in paths)
    for one in predicted:
        if one.error:
            errors += 1
            continue
        ranked = (f"{value:7.2%} {printable(name)}" for name, value in zip(one.classes, one.probabilities, strict=True))
        click.echo(f"{printable(one.image):{width}} {'  '.join(ranked)}")
    return errors


def _csv(predicted: Iterable[Prediction], paths: list[Path], top: int) -> int:
    errors, lines = 0, csv.writer(_Echo(), lineterminator="\n")
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    lines.writerow(["image", *(f"{name}{rank}" for rank in ranks for name in ("class", "probability")), "error"])
    for one in predicted:
        errors += bool(one.error)
        ranked = [value for pair in zip(one.classes, one.probabilities, strict=True) for value in pair]
        lines.writerow([one.image, *(ranked or [""] * (2 * top)), one.error])
    return errors


def _jsonl(predicted: Iterable[Prediction], paths: list[Path], top: int) -> int:
    errors = 0
    for one in predicted:
        errors += bool(one.error)
        click.echo(json.dumps(one.to_dict()))
    return errors


class _Echo:
    """A file that prints."""

    def write(self, text: str) -> None:
        click.echo(text, nl=False, color=True)  # click would remove escape sequences from names
