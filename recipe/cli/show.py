"""``recipe show``: draw the images of a recipe as the network sees them, or look at its dataset."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipe.base.printable import printable
from recipe.base.wording import plural, with_near_paths
from recipe.cli.inputs import check_quoted, plugin_option, source_of, stem, tell_changes, vocabulary
from recipe.language.recipe_input import override
from recipe.plan.bind import bind

if TYPE_CHECKING:
    from recipe.showing.sheet import Sheet


@click.command("show", short_help="Draw a recipe's images as the network sees them, or look at its dataset.")
@click.argument("file", metavar="FILE")
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The PNG file to write. Default: a file in the current directory, named after the recipe.",
)
@click.option(
    "--images",
    type=click.IntRange(1, 1000),
    default=32,
    show_default=True,
    help="Images of each kind. Each view of an evaluation image counts.",
)
@click.option("--epoch", type=int, default=1, show_default=True, help="The epoch of the training images.")
@click.option(
    "--split",
    type=click.Choice(["training", "evaluation", "both"]),
    default="both",
    show_default=True,
    help="Which images to show.",
)
@click.option("--data", is_flag=True, help="Print facts about the dataset instead.")
@click.option("--json", "as_json", is_flag=True, help="With --data: print JSON.")
@click.option("--max-time", metavar="TIME", help="With --data: read files for at most 90s, 15m or 1.5h. Default: 60s.")
@plugin_option
def command(
    file: str,
    statements: tuple[str, ...],
    out: Path | None,
    images: int,
    epoch: int,
    split: str,
    data: bool,
    as_json: bool,
    max_time: str | None,
    plugins: tuple[str, ...],
) -> None:
    """Draw a sheet of a recipe's images as the network sees them, or look at its dataset.

    FILE is a path, `-`, a run folder, a shipped example, or the text of a recipe. STATEMENTS override it. Nothing is
    trained. Existing files are never overwritten.

    The training images are those of the first steps of an epoch, in their order, after the crops, augmentations and
    mixing of the recipe. Below each one are the classes of its target with their shares: the largest two, if it is
    smoothed or mixed. The evaluation images are evenly spread over the held-out ones, each with its class.

    \b
    What do mixup and the crops of `full` do? Write full.png:
        recipe show full

    \b
    And with your own images, in another order and in the last epoch?
        recipe show full 'data folder "photos"; seed 1' --epoch 16 --out late.png

    With --data, prints how many images each part and class has, their sizes and channels, what was passed over, and
    what is probably wrong: too few classes or images, classes without images, images that can't be read unless the
    recipe skips them, and images that occur in several parts or with different classes. The headers of files are read,
    but no image is decoded. Exits with 1 if something is wrong.

    \b
    Are my images ready?
        recipe show --data full 'data folder "photos"'
    """
    _check(data, as_json, max_time)
    words = vocabulary(plugins)
    check_quoted(file, statements, words)
    source = source_of(file, words.verbs())
    plan = bind([source, *override(statements)], words, data=True)
    tell_changes(source, plan)
    if data:
        from recipe.showing.api import MAX_TIME, show_data

        report = show_data(plan, max_time=max_time or MAX_TIME)
        click.echo(report.to_json() if as_json else report.to_text())
        click.get_current_context().exit(1 if report.findings else 0)
    from recipe.showing.api import show
    from recipe.showing.sheet import see_usable

    path = out or Path(f"{stem(source, 'sheet')}.png")
    see_usable(path)
    sheet = show(plan, images=images, epoch=epoch, split=split)
    sheet.save(path)
    for line in (*(f"warning: {warning.message}" for warning in plan.warnings), *sheet.notes):
        click.echo(printable(with_near_paths(line)), err=True)
    click.echo(_shown(sheet), err=True)
    click.echo(printable(path) if sys.stdout is not None and sys.stdout.isatty() else path, color=True)


def _check(data: bool, as_json: bool, max_time: str | None) -> None:
    """Refuse options that have no effect with or without ``--data``."""
    if not data and (as_json or max_time is not None):
        raise click.UsageError(f"{'--json' if as_json else '--max-time'} requires --data")
    context = click.get_current_context()
    for name in ("out", "images", "epoch", "split") if data else ():
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} has no effect with --data")


def _shown(sheet: Sheet) -> str:
    """Return what is on a sheet."""
    evaluated, views = len(sheet.evaluation) // sheet.views, f", {sheet.views} views each" if sheet.views > 1 else ""
    parts = []
    if sheet.training:
        parts.append(f"{plural(len(sheet.training), 'training image')} of epoch {sheet.epoch}")
    if evaluated:
        parts.append(f"{plural(evaluated, 'evaluation image')}{views}")
    return "; ".join(parts)
