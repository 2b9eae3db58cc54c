"""`recipe.ablate`: an ablation from a recipe to its table, from Python."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from recipe.ablation.execute import Execution, Unfinished, Watcher
from recipe.ablation.launchers import Launcher, launcher_of
from recipe.ablation.resources import Workers
from recipe.ablation.study import Study, study
from recipe.ablation.table import Table
from recipe.base.source import Source
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary


def run_study(
    made: Study,
    workers: Workers | None = None,
    *,
    plugins: Sequence[str] = (),
    watcher: Watcher | None = None,
    launcher: Launcher | None = None,
) -> Table:
    """Run what is missing of an ablation, and write its table and chart.

    The ``launcher`` is the one that ``workers`` name unless another is given. Raises `Unfinished` where runs failed,
    once all others are made.
    """
    workers = workers or Workers()
    launcher = launcher or launcher_of(workers.launcher, workers.options, made.home.folder)
    made.home.prepare(made.budgets)
    absolute = tuple(os.path.abspath(plugin) for plugin in plugins)
    cells = Execution(
        made.home, launcher, workers.jobs, workers.devices, workers.threads, absolute, watcher or Watcher()
    )
    try:
        cells.run(made.tasks)
    except Unfinished as error:
        error.table = made.write()
        raise
    except BaseException:
        with contextlib.suppress(Exception):  # the first reason is the one to tell
            made.write()  # what there is so far
        raise
    return made.write()


def ablate(
    recipe: str | Path | Source | Plan,
    *statements: str,
    mode: str,
    over: Sequence[str] = (),
    seeds: int | None = None,
    budget: str | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    jobs: int = 1,
    launcher: str = "local",
    options: Mapping[str, str] | None = None,
    plugins: Sequence[str] = (),
) -> Table:
    """Run an ablation of a recipe: text, a path or a plan; gives its table.

    ``mode`` is ``stack``, ``drop`` or ``add``; ``over`` names what is studied, each a statement or several, else it is
    every trick that the recipe states; ``seeds`` is how many there are (3). A ``budget`` such as ``20m`` plans seeds
    and epochs to fit. ``out`` is the folder; what is there already is not run again. ``plugins`` are files with tricks.
    Raises `RecipeError` before anything is trained where a row can't be, `Unfinished` where runs fail, with the table
    of the others, and `Interrupted`.
    """
    workers = Workers(device, jobs, launcher, options or {})
    words = Vocabulary.installed(Path(plugin) for plugin in plugins)
    made = study(
        recipe,
        *statements,
        mode=mode,
        over=over,
        seeds=seeds,
        budget=budget,
        out=out,
        workers=workers,
        vocabulary=words,
    )
    return run_study(made, workers, plugins=plugins)
