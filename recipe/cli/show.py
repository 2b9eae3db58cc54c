"""``recipe show``: draw the images of a recipe as the network sees them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipe.base.printable import printable
from recipe.base.wording import plural
from recipe.cli.inputs import plugin_option, source_of, stem, tell_changes, vocabulary
from recipe.language.recipe_input import override
from recipe.plan.bind import bind

if TYPE_CHECKING:
    from recipe.showing.sheet import Sheet


@click.command("show", short_help="Draw a recipe's images as the network sees them.")
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
@plugin_option
def command(
    file: str,
    statements: tuple[str, ...],
    out: Path | None,
    images: int,
    epoch: int,
    split: str,
    plugins: tuple[str, ...],
) -> None:
    """Draw a sheet of a recipe's images as the network sees them, with their targets.

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
    """
    words = vocabulary(plugins)
    source = source_of(file, words.verbs())
    plan = bind([source, *override(statements)], words, data=True)
    tell_changes(source, plan)
    from recipe.showing.api import show
    from recipe.showing.sheet import see_usable

    path = out or Path(f"{stem(source, 'sheet')}.png")
    see_usable(path)
    sheet = show(plan, images=images, epoch=epoch, split=split)
    sheet.save(path)
    for line in (*(f"warning: {warning.message}" for warning in plan.warnings), *sheet.notes):
        click.echo(printable(line), err=True)
    click.echo(_shown(sheet), err=True)
    click.echo(printable(path) if sys.stdout is not None and sys.stdout.isatty() else path, color=True)


def _shown(sheet: Sheet) -> str:
    """Return what is on a sheet."""
    evaluated, views = len(sheet.evaluation) // sheet.views, f", {sheet.views} views each" if sheet.views > 1 else ""
    parts = []
    if sheet.training:
        parts.append(f"{plural(len(sheet.training), 'training image')} of epoch {sheet.epoch}")
    if evaluated:
        parts.append(f"{plural(evaluated, 'evaluation image')}{views}")
    return "; ".join(parts)
