"""Prepare an ablation: compile its rows, choose its seeds and epochs, and name its cells."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs

from recipe.ablation.cells.budget import SEEDS, Budget, planned
from recipe.ablation.cells.stamps import Stamps
from recipe.ablation.cells.store import check, kept_budgets
from recipe.ablation.cells.tasks import cells_of
from recipe.ablation.checks import check_weights, compile_rows, own_model
from recipe.ablation.confirming import NEW_SEEDS, Confirming, at_full_length
from recipe.ablation.holdout import check_holdout
from recipe.ablation.lines import lines_of, meanings_of
from recipe.ablation.report.screening import Screening
from recipe.ablation.report.table import Table
from recipe.ablation.request import Request
from recipe.ablation.rows.combinations import SEEDS as SCREENED
from recipe.ablation.rows.combinations import Combinations, Screen, screened
from recipe.ablation.rows.variants import Row, check_choices, laid_off, rows_of, without
from recipe.ablation.statistics.looks import Until, most_seeds
from recipe.ablation.statistics.results import Line
from recipe.ablation.study import Study
from recipe.base.caller import option
from recipe.base.errors import fail
from recipe.base.identity import digest
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan

CONFIRMATION = 2 * NEW_SEEDS
"""The runs of a confirmation that are as long as those of the screening."""


def study(plan: Plan, request: Request, tell: Callable[[str], None] = lambda text: None) -> Study:
    """Prepare an ablation of a plan. This trains nothing and writes no file.

    Args:
        plan: The plan of the recipe.
        request: The options of the ablation.
        tell: Gets sentences about how a budget is used.

    Raises:
        RecipeError: If a row is invalid or an option can't be used.
    """
    if plan.model == "module":
        raise own_model(plan)
    left_out = laid_off(plan)
    compared = Comparison.of(without(plan, left_out), request)
    programs = compile_rows(compared.rows)
    stamps = Stamps.of(programs, request.workers.local)
    identity = compared.identity(stamps)
    folder = request.folder(identity)
    check(folder)
    count, budgets = compared.seeds, dict[str, Budget]()
    if request.budget is not None:
        name = budget_name(request, identity)
        budgets[name] = budget = compared.budget(kept_budgets(folder).get(name), tell)
        count, compared = budget.seeds, compared.lasting(budget.epochs)
    seeds = tuple(range(compared.plan.training.seed, compared.plan.training.seed + count))
    made = Study(
        request=request,
        folder=folder,
        rows=compared.rows,
        outline=compared.outline(lines_of(compared.rows, programs, request.mode), seeds),
        confirming=compared.confirming(seeds),
        cells=cells_of(compared.rows, seeds, request.cells, stamps),
        until=until(request, count),
        budgets=budgets,
        left_out=left_out,
    )
    check_holdout(request.share, [task for row in made.cells for task in row])
    if request.workers.local:
        check_weights([task.plan for task in made.tasks if task.cell().status == "missing"])
    return made


@attrs.frozen
class Comparison:
    """The rows of a plan, as a request asks for them."""

    request: Request
    plan: Plan
    rows: tuple[Row, ...]
    screen: Screen | None = None
    """The rows of a screening with their design."""
    combinations: Combinations | None = None
    """The combinations of a screening, without what shortens its runs."""

    @classmethod
    def of(cls, whole: Plan, request: Request) -> Comparison:
        """Return the rows of a plan, shortened if the request says so. Raises `RecipeError`."""
        plan = whole if request.short is None else resolve(whole, request.short, data=True)
        if not request.is_screening:
            rows = rows_of(plan, request.mode, request.over)
            check_choices(rows)
            return cls(request, plan, rows)
        screen = screened(plan, request.over, request.resolution, request.runs)
        check_choices(screen.rows)
        if request.short is None:
            return cls(request, plan, screen.rows, screen, screen.combinations)
        return cls(request, plan, screen.rows, screen, at_full_length(screen.combinations, whole, request.over))

    def lasting(self, epochs: int) -> Comparison:
        """Return the comparison with another number of epochs."""
        if epochs == self.plan.training.epochs:
            return self
        return self.of(resolve(self.plan, f"{self.plan.maker('epochs')} {epochs}", data=True), self.request)

    def identity(self, stamps: Stamps) -> str:
        """Return a digest of what is compared, whatever the seeds are."""
        plans = [row.plan for row in self.rows]
        parts = [self.request.mode, *(plan.digest for plan in plans), *(stamps.stamp(plan) for plan in plans)]
        return digest(json.dumps(parts).encode())

    @property
    def seeds(self) -> int:
        """The number of seeds without a budget. With ``until``, rows may need fewer. Raises `RecipeError` (E127)."""
        if self.request.until is not None:
            return most_seeds(len(self.rows), self.request.seeds, self.request.runs)
        return self.request.seeds or (self.screen.seeds if self.screen else SEEDS)

    def budget(self, before: Budget | None, tell: Callable[[str], None]) -> Budget:
        """Return the seeds and epochs that fit into the budget, or those that did before. Raises `RecipeError`."""
        request, maker = self.request, self.plan.maker("epochs")
        assert request.budget is not None
        if any(word == maker for row in self.rows for unit in row.on for word in unit.words):
            budget = option("--budget")
            raise fail("E127", f"`{maker}` is studied, but {budget} sets it", help=f"omit {budget} or `{maker}`")
        plans, confirming = [row.plan for row in self.rows], CONFIRMATION * request.confirm
        return planned(plans, request.budget, request.seeds, request.workers, confirming, before, tell)

    def outline(self, lines: tuple[Line, ...], seeds: tuple[int, ...]) -> Table:
        """Return the table before any training."""
        request, screen = self.request, self.screen
        common = (f"{request.name}, {request.mode}", request.mode, self.plan.canonical(), seeds, lines)
        units = screen.units if screen else [row.unit for row in self.rows if row.unit]
        meanings = meanings_of(units, self.plan.vocabulary)
        if screen is None or self.combinations is None:
            return Table(*common, meanings=meanings)
        return Screening(
            *common,
            meanings=meanings,
            units=screen.units,
            design=screen.design,
            replaced=screen.replaced,
            statements=self.combinations.statements,
            short=request.short or "",
        )

    def confirming(self, seeds: tuple[int, ...]) -> Confirming | None:
        """Return how the best combination is confirmed after the seeds of a screening, or None if it isn't.

        Raises `RecipeError` if that isn't possible.
        """
        request = self.request
        if self.combinations is None or not request.confirms:
            return None
        fresh = tuple(range(seeds[-1] + 1, seeds[-1] + 1 + NEW_SEEDS))
        is_short, local = request.short is not None, request.workers.local
        confirming = Confirming(self.combinations, fresh, request.cells, is_short, local)
        confirming.check()
        return confirming


def until(request: Request, most: int) -> Until | None:
    """Return what decides how many seeds are used, at most some number, or None if all are."""
    if request.until is None:
        return None
    return Until(request.until / 100, min(SCREENED if request.is_screening else SEEDS, most), most)


def budget_name(request: Request, identity: str) -> str:
    """Return the name under which the folder of an ablation keeps its planned budget."""
    workers = request.workers
    by = f"{workers.jobs} at a time, {workers.launcher}, {workers.device or 'any device'}"
    confirming = f", {CONFIRMATION} to confirm" * request.confirm
    return f"{identity}: {request.budget}, {request.seeds or 'fitting'} seeds, {by}{confirming}"
