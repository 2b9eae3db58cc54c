"""An ablation before its first run: rows bound and compiled, seeds chosen, a budget planned, a folder named."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from recipe import files
from recipe.ablation.budget import SEEDS, Budget, fit, run_seconds, seconds_of, startup_seconds
from recipe.ablation.chart import draw
from recipe.ablation.home import Home, Task
from recipe.ablation.rows import Row, rows_of
from recipe.ablation.table import Cell, Line, Table
from recipe.ablation.workers import Workers
from recipe.bind import bind
from recipe.cache import code_of, foreign
from recipe.diagnostics import Diagnostic, RecipeError, fail, plural
from recipe.fields import digest
from recipe.inputs import override, source_from
from recipe.plan import Plan
from recipe.registry import Vocabulary
from recipe.source import Source

ROOT = Path("ablations")


@attrs.frozen
class Study:
    """An ablation that can be run: its rows are compiled, its seeds chosen, its folder named."""

    title: str
    mode: str
    rows: tuple[Row, ...]
    costs: tuple[tuple[int, int], ...]
    """Parameters and MACs of each row."""
    notes: tuple[str, ...]
    """What is odd about each row; empty where nothing is."""
    seeds: tuple[int, ...]
    home: Home
    identity: str
    """What tells it from ablations of another recipe, mode or rows, whatever the seeds."""
    plans: tuple[tuple[Plan, ...], ...] = attrs.field(repr=False)
    """Of each row, the plan under each seed."""
    budgets: Mapping[str, Budget] = attrs.field(factory=dict)
    """What was planned for budgets, by what was asked; it is kept when this is run."""

    @property
    def tasks(self) -> list[Task]:
        """All cells: every row of the first seed, then of the next, so that what there is can be compared."""
        return [
            Task(self.plans[at][place], seed, row.label)
            for place, seed in enumerate(self.seeds)
            for at, row in enumerate(self.rows)
        ]

    @property
    def epochs(self) -> str:
        """How long its runs are, in words."""
        counts = sorted({row.plan.training.epochs for row in self.rows})
        return f"{' or '.join(map(str, counts))} epoch{'s' * (counts != [1])}"

    @property
    def full(self) -> Plan:
        """The plan of the recipe with all that is studied."""
        return self.rows[-1 if self.mode == "stack" else 0].plan

    def table(self) -> Table:
        """The table, as far as its cells have come."""
        lines = []
        for row, (params, macs), note, plans in zip(self.rows, self.costs, self.notes, self.plans, strict=True):
            cells = tuple(self.home.cell(plan.digest, seed) for plan, seed in zip(plans, self.seeds, strict=True))
            statements = row.unit.statements if row.unit else ()
            said = "; ".join(filter(None, (note, _substituted(row.plan.training.precision, cells))))
            lines.append(Line(row.label, row.reference, statements, params, macs, cells, said))
        data = dict.fromkeys(use.statement() for row in self.rows if (use := row.plan.images))
        batches = sorted({row.plan.training.batch for row in self.rows})
        about = f"{' or '.join(data)}; {self.epochs}, batch {' or '.join(map(str, batches))}."
        return Table(self.title, self.mode, self.full.canonical(), self.seeds, tuple(lines), (about,))

    def write(self) -> Table:
        """Write the table as Markdown, CSV and JSON, and its chart; gives the table."""
        table, folder = self.table(), self.home.folder
        files.write_text(folder / "table.md", table.to_markdown())
        files.write_text(folder / "table.csv", table.to_csv())
        files.write_text(folder / "table.json", table.to_json())
        draw(table, folder)
        return table


def _substituted(asked: str, cells: Sequence[Cell]) -> str:
    """What to say of cells that were computed in another precision than the recipe asks for."""
    others = [cell.precision for cell in cells if cell.precision not in (None, asked)]
    if not others:
        return ""
    some = "" if len(others) == len(cells) else f"{len(others)} of {len(cells)} "
    return f"{some}in {others[0]}, for want of {asked}"


def study(
    recipe: str | Path | Source | Plan,
    *statements: str,
    mode: str,
    over: Sequence[str] = (),
    seeds: int | None = None,
    budget: str | None = None,
    out: str | Path | None = None,
    workers: Workers | None = None,
    vocabulary: Vocabulary | None = None,
    name: str = "ablation",
    tell: Callable[[str], None] = lambda text: None,
) -> Study:
    """All of an ablation that comes before its first run: every row is bound and compiled, or told what is wrong."""
    from recipe.engine import open_sets

    if seeds is not None and seeds < 1:
        raise fail("E124", f"an ablation needs a seed or more, not {seeds}")
    if out is not None and not str(out).strip():
        raise fail("E113", "the ablation's folder has no name", help="name one with --out")
    words, workers = vocabulary or Vocabulary.installed(), workers or Workers()
    below = recipe.sources if isinstance(recipe, Plan) else (source_from(recipe),)
    plan = bind([*below, *override(statements)], words, data=True)
    rows = rows_of(plan, mode, over)
    costs, notes = _compiled(rows)
    if workers.local:  # else the images need not be here
        for one in {use.statement(): row.plan for row in rows if (use := row.plan.images)}.values():
            open_sets(one)
    named = digest(json.dumps([mode, *(row.plan.digest for row in rows), *_plugins(rows)]).encode())
    home = Home(Path(out) if out is not None else ROOT / f"{name}-{mode}-{named[:8]}")
    home.check(named)
    count, budgets = seeds or SEEDS, dict[str, Budget]()
    if budget is not None:
        budgets = home.budgets(named)
        planned = _planned(rows, budget, seeds, workers, budgets, tell)
        count = planned.seeds
        if planned.epochs != plan.training.epochs:
            plan = bind([*plan.sources, *override((f"epochs {planned.epochs}",))], words, data=True)
            rows = rows_of(plan, mode, over)
    first = plan.training.seed
    chosen = tuple(range(first, first + count))
    plans = tuple(tuple(row.seeded(seed) for seed in chosen) for row in rows)
    return Study(f"{name}, {mode}", mode, rows, costs, notes, chosen, home, named, plans, budgets)


def _plugins(rows: Sequence[Row]) -> list[str]:
    """The code of the plugins that rows use: cells that were run by other code are those of another ablation."""
    modules = {type(use.trick).__module__ for row in rows for use in row.plan.uses}
    return sorted({code_of(module) for module in modules if foreign(module)})


def _compiled(rows: Sequence[Row]) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    """Parameters and MACs of every row, and what is odd about it; all that can't be compiled is told at once."""
    from recipe.compiler import lower

    costs, notes, errors = [], [], list[Diagnostic]()
    for row in rows:
        try:
            program = lower(row.plan, device="meta")
        except RecipeError as error:
            errors += [attrs.evolve(one, message=f"row `{row.label}`: {one.message}") for one in error.diagnostics]
            continue
        costs.append((program.costs.params, program.costs.macs))
        steps = [step for step in program.steps if row.unit and step.word in row.unit.words]
        already = bool(steps) and not any(step.edits for step in steps)
        same = row.reference is not None and rows[row.reference].plan.digest == row.plan.digest
        said = ["the same recipe" if same else "already so" if already else ""]
        said += [f"`{word}` gave way" for word in row.gave_way]
        notes.append("; ".join(filter(None, said)))
    if errors:
        raise RecipeError(*dict.fromkeys(errors))
    return tuple(costs), tuple(notes)


def _planned(
    rows: Sequence[Row],
    budget: str,
    seeds: int | None,
    workers: Workers,
    budgets: dict[str, Budget],
    tell: Callable[[str], None],
) -> Budget:
    """Seeds and epochs that fit into a budget: as planned before, by what was asked, or planned now, and put there."""
    from recipe.devices import pick
    from recipe.engine import told_plainly

    if any(word == "epochs" for row in rows for unit in row.on for word in unit.words):
        raise fail("E127", "`epochs` is studied, and --budget chooses them", help="leave out one of the two")
    asked = f"{seconds_of(budget):g} s, seeds {seeds or 'to fit'}"
    if asked in budgets:
        found = budgets[asked]
        tell(f"as planned before: {plural(found.seeds, 'seed')}, {plural(found.epochs, 'epoch')}")
        return found
    tell(f"timing {len(rows)} rows for the budget of {budget}")
    startup, times = startup_seconds(), dict[str, tuple[float, float]]()
    with told_plainly(pick(workers.device)):
        for row in rows:
            if row.plan.digest not in times:
                times[row.plan.digest] = run_seconds(row.plan, workers.device)
    epochs, (first, each) = rows[0].plan.training.epochs, zip(*times.values(), strict=True)
    found = fit(seconds_of(budget), startup + statistics.fmean(first), each, epochs, seeds, workers.parallel)
    fewer = f", of the recipe's {epochs}" if found.epochs < epochs else ""
    tell(
        f"planned: {plural(found.seeds, 'seed')}, {plural(found.epochs, 'epoch')}{fewer}; "
        f"{plural(len(times) * found.seeds, 'run')}, about {found.seconds / 60:.1f} min"
    )
    budgets[asked] = found
    return found
