"""Train variants of a recipe and compare them (`recipe.ablate`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from recipe.ablation.cells.launchers import Workers
from recipe.ablation.checks import own_model
from recipe.ablation.preparing import study
from recipe.ablation.report.table import Table
from recipe.ablation.request import Request
from recipe.base.public import public
from recipe.base.source import Source
from recipe.compiler.program import Program
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary


@public()
def ablate(
    recipe: str | Path | Source | Plan | Program,
    *statements: str,
    mode: str,
    over: str | Sequence[str] = (),
    seeds: int | None = None,
    resolution: int | None = None,
    runs: int | None = None,
    until: float | None = None,
    confirm: bool = False,
    short: str | None = None,
    budget: str | None = None,
    holdout: str | float | None = None,
    test: bool = True,
    out: str | Path | None = None,
    device: str | None = None,
    jobs: int = 1,
    launcher: str = "local",
    options: Mapping[str, str] | None = None,
    plugins: Vocabulary | Sequence[str | Path] = (),
    base: nn.Module | None = None,
) -> Table:
    """Train variants of a recipe under several seeds, and compare them in a table.

    All rows are compiled before any training starts. Call it again with the same arguments to resume an interrupted
    ablation. Runs that the folder already contains are not repeated.

    Args:
        recipe: The text of a recipe, the path of a recipe or a run folder, the name of a shipped example, a `Plan`, or
            a `Program`, which counts as its plan.
        statements: Statements that override the recipe in every row.
        mode: ``stack`` adds each trick on top of the previous ones, ``drop`` removes one at a time, ``add`` adds one
            at a time, and ``screen`` trains a few combinations from which the effect of each trick follows.
        over: The tricks to study, one row each. Each item is one or more statements. Defaults to every trick that the
            recipe states.
        seeds: Seeds per row, at least 1. With ``until``, the most. Defaults to 3, to 2 with ``screen``, to the 2 to 10
            that fit the budget, or with ``until`` to at most 20.
        resolution: Of a screening: 4 keeps effects apart from interactions of two tricks, and 3 takes about half as
            many runs. Defaults to 4.
        runs: The most runs of a screening, or of any mode with ``until``, without those of teachers and of a
            confirmation. The seeds are as many as fit, at least 2. If too few fit, the resolution of a screening is 3.
            Not together with ``seeds`` or ``budget``. Defaults to no limit.
        until: How narrow every interval should be, as ± percentage points. Seeds are added to the rows that need
            them until each interval is that narrow, its trick can't gain that much, or no more seeds or runs are
            allowed. Defaults to a fixed number of seeds.
        confirm: Whether the best combination of a screening, and none of the tricks, are trained again under three new
            seeds.
        short: Statements that shorten the runs of a screening, such as ``epochs 2``. The best combination, none of the
            tricks, and up to two in between are then confirmed without them.
        budget: The time to fit seeds and epochs into: ``90s``, ``20m`` or ``2h``. Defaults to no limit.
        holdout: The share of the held-out images to leave out of the table, ``20%`` or 0.2, from 1% to 50%. The best
            row is reported on them. Can be given to a finished ablation, too. Defaults to none.
        test: Whether to evaluate the best row, or the combination that is confirmed, on the test images once all runs
            have finished, if the recipe has any.
        out: The ablation folder. Defaults to a folder in ``ablations``.
        device: The device, such as ``cpu`` or ``cuda:1``. Defaults to all CUDA devices in turn, or the CPU.
        jobs: How many runs to train at a time.
        launcher: Where to train: ``local``, ``slurm`` or ``ray``.
        options: Options of the slurm or ray launcher: ``{"timeout_min": "120"}`` (minutes).
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one. Each run
            loads the files of both.
        base: Not supported, since each run is another process. Name a model of your own in a plugin.

    Returns:
        The table, which is also written to the folder as Markdown, CSV, JSON and a chart. That of a screening is a
            `Table` with ``effects``, ``interactions`` and ``best``.

    Raises:
        RecipeError: If a row is invalid or an argument can't be used, before any training starts, or for a model of
            your own (E102).
        TypeError: If an argument has the wrong type.
        Unfinished: If some runs fail, once the others are done. Its ``table`` has their results.
        Interrupted: After SIGINT, SIGTERM or SIGHUP.
    """
    if base is not None:
        raise own_model(None)
    if isinstance(recipe, Program):
        recipe.unchanged_base()
        recipe = recipe.plan
    request = Request(
        mode=mode,
        over=over,
        seeds=seeds,
        resolution=resolution,
        runs=runs,
        until=until,
        confirm=confirm,
        short=short,
        budget=budget,
        holdout=holdout,
        test=test,
        out=out,
        workers=Workers(device, jobs, launcher, options or {}),
    )
    return study(resolve(recipe, *statements, plugins=plugins, data=True), request).run()
