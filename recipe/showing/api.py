"""`recipe.show`: a sheet of images as the network sees them; `recipe.show_data`: a look at a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recipe.base.errors import fail
from recipe.base.public import public
from recipe.base.source import Source
from recipe.compiler.program import Program, check_outputs
from recipe.data.views import names_of
from recipe.inference.datasets import open_sets
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.time_limit import TimeLimit
from recipe.showing.looking import look
from recipe.showing.report import DataReport
from recipe.showing.sheet import Sheet
from recipe.showing.tiles import Feed

SPLITS = ("training", "evaluation", "both")
"""Which images a sheet can have."""
IMAGES, MOST = 32, 1000
"""The number of images of each kind on a sheet: the default and the largest."""

MAX_TIME = "60s"
"""How long a look at a dataset may take by default."""


@public()
def show(
    recipe: str | Path | Source | Plan | Program,
    *statements: str,
    images: int = IMAGES,
    epoch: int = 1,
    split: str = "both",
    plugins: Vocabulary | Sequence[str | Path] = (),
) -> Sheet:
    """Return a sheet of images as the network sees them, with their targets. Nothing is trained.

    Training images are those of the first steps of an epoch, made as the training makes them on a CPU: in its order,
    and with its crops, augmentations, mixing and resolution. Evaluation images are evenly spread over the held-out
    ones. A recipe without a dataset shows ``data digits``.

    Args:
        recipe: The text of a recipe, the path of a recipe or a run folder, the name of a shipped example, a `Plan`, or
            a `Program`.
        statements: Statements that override the recipe.
        images: How many images to show of each kind, from 1 to 1000. Each view of an evaluation image counts.
        epoch: The epoch of the training images, counted from 1.
        split: Which images to show: ``training``, ``evaluation`` or ``both``.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.

    Returns:
        The sheet.

    Raises:
        RecipeError: If the recipe is invalid, its images can't be read (E070), or it has no such epoch (E024).
        TypeError, ValueError: If an argument has the wrong type or value.
    """
    if not 1 <= images <= MOST:
        raise ValueError(f"`images` must be from 1 to {MOST}, not {images}")
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(map(repr, SPLITS))}, not {split!r:.60}")
    given = recipe.plan if isinstance(recipe, Program) else recipe
    plan = resolve(given, *statements, plugins=plugins, data=True)
    last = plan.training.epochs
    if not 1 <= epoch <= last:
        message = f"there is no epoch {epoch} to show: the recipe trains for {last}"
        raise fail("E024", message, help=f"choose one from 1 to {last}" if last > 1 else "leave it out")
    sets = open_sets(plan, training=split != "evaluation")
    asked = recipe.classes if isinstance(recipe, Program) and plan is recipe.plan else plan.asked_classes
    outputs = asked or sets.classes
    check_outputs(plan, outputs, sets.classes)
    feed = Feed.of(plan, sets, outputs)
    training = feed.training(epoch - 1, images) if split != "evaluation" else []
    evaluation = feed.evaluation(images) if split != "training" else []
    names = tuple(map(feed.name_of, range(feed.transform.classes)))
    replaced = {("training", tile.replaces) for tile in training}
    skipped = (
        f"{part} image {index} is skipped{', and another one is in its place' * ((part, index) in replaced)}: {why}"
        for (part, index), why in sorted(feed.skipped.items())
    )
    views = len(names_of(plan.training.evaluation_views or "single"))
    return Sheet(tuple(training), tuple(evaluation), epoch, names, (*sets.notes, *skipped), views)


@public()
def show_data(
    recipe: str | Path | Source | Plan | Program,
    *statements: str,
    max_time: str = MAX_TIME,
    plugins: Vocabulary | Sequence[str | Path] = (),
) -> DataReport:
    """Look at the images of a recipe before training: how many there are, their sizes, and what is wrong with them.

    The headers of files are read, but no image is decoded. Files of the same size are compared by their contents.

    Args:
        recipe: The text of a recipe, the path of a recipe or a run folder, the name of a shipped example, a `Plan`, or
            a `Program`.
        statements: Statements that override the recipe.
        max_time: The time, such as ``90s``, ``15m`` or ``1.5h``, after which no more files are read. The report states
            how many were.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.

    Returns:
        The report.

    Raises:
        RecipeError: If the recipe is invalid, its images can't be found (E070), or the time is invalid (E118).
        TypeError: If an argument has the wrong type.
    """
    limit = TimeLimit.of(max_time)
    given = recipe.plan if isinstance(recipe, Program) else recipe
    return look(resolve(given, *statements, plugins=plugins, data=True), limit.seconds)
