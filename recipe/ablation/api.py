"""`recipe.ablate`: an ablation from a recipe to its table, from Python."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from recipe import files
from recipe.ablation.budget import SEEDS, Budget, epoch_seconds, fit, seconds_of, startup_seconds
from recipe.ablation.chart import draw
from recipe.ablation.execute import Execution, Home, Task, Watcher
from recipe.ablation.launchers import launcher_of
from recipe.ablation.rows import Row, rows_of
from recipe.ablation.table import Line, Table
from recipe.bind import bind
from recipe.diagnostics import Diagnostic, RecipeError
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

    @property
    def tasks(self) -> list[Task]:
        """All cells: every row of the first seed, then of the next, so that what there is can be compared."""
        return [
            Task(self.plans[at][place], seed, row.label)
            for place, seed in enumerate(self.seeds)
            for at, row in enumerate(self.rows)
        ]

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
            lines.append(Line(row.label, row.reference, statements, params, macs, cells, note))
        training, data = self.full.training, self.full.use("data")
        about = f"{data.statement() if data else ''}; {training.epochs} epochs, batch {training.batch}."
        return Table(self.title, self.mode, self.full.canonical(), self.seeds, tuple(lines), (about,))

    def write(self) -> Table:
        """Write the table as Markdown, CSV and JSON, and its chart; gives the table."""
        table, folder = self.table(), self.home.folder
        files.write_text(folder / "table.md", table.to_markdown())
        files.write_text(folder / "table.csv", table.to_csv())
        files.write_text(folder / "table.json", table.to_json())
        draw(table, folder)
        return table


def study(
    recipe: str | Path | Source | Plan,
    *statements: str,
    mode: str,
    over: Sequence[str] = (),
    seeds: int | None = None,
    budget: str | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    vocabulary: Vocabulary | None = None,
    name: str = "ablation",
    tell: Callable[[str], None] = lambda text: None,
) -> Study:
    """All of an ablation that comes before its first run: every row is bound and compiled, or told what is wrong."""
    words = vocabulary or Vocabulary.installed()
    below = recipe.sources if isinstance(recipe, Plan) else (source_from(recipe),)
    plan = bind([*below, *override(statements)], words, data=True)
    rows = rows_of(plan, mode, over)
    costs, notes = _compiled(rows)
    named = digest(json.dumps([mode, *(row.plan.digest for row in rows)]).encode())
    home = Home(Path(out) if out else ROOT / f"{name}-{mode}-{named[:8]}")
    home.check(named)
    count = seeds or SEEDS
    if budget is not None:
        planned = _planned(rows, named, budget, seeds, device, home, tell)
        count = planned.seeds
        if planned.epochs != plan.training.epochs:
            plan = bind([*plan.sources, *override((f"epochs {planned.epochs}",))], words, data=True)
            rows = rows_of(plan, mode, over)
    first = plan.training.seed
    chosen = tuple(range(first, first + count))
    plans = tuple(tuple(row.seeded(seed) for seed in chosen) for row in rows)
    return Study(f"{name}, {mode}", mode, rows, costs, notes, chosen, home, named, plans)


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
        notes.append("the same recipe" if same else "already so" if already else "")
    if errors:
        raise RecipeError(*dict.fromkeys(errors))
    return tuple(costs), tuple(notes)


def _planned(
    rows: Sequence[Row],
    named: str,
    budget: str,
    seeds: int | None,
    device: str | None,
    home: Home,
    tell: Callable[[str], None],
) -> Budget:
    """Seeds and epochs that fit into a budget; what was planned for the same ablation and budget stays."""
    path, asked = home.folder / "plan.json", {"ablation": named, "budget": seconds_of(budget), "seeds_asked": seeds}
    try:
        kept = json.loads(path.read_text("utf-8"))
        if {name: kept[name] for name in asked} == asked:
            found = Budget(kept["seeds"], kept["epochs"], kept["seconds"])
            tell(f"as planned before: {found.seeds} seeds, {found.epochs} epochs")
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    tell(f"timing {len(rows)} rows for the budget of {budget}")
    startup, times = startup_seconds(), dict[str, float]()
    for row in rows:
        if row.plan.digest not in times:
            times[row.plan.digest] = epoch_seconds(row.plan, device)
    epochs, parallel = rows[0].plan.training.epochs, max(1, _devices(device, 1)[1])
    found = fit(seconds_of(budget), startup, list(times.values()), epochs, seeds, parallel)
    fewer = f", of the recipe's {epochs}" if found.epochs < epochs else ""
    tell(
        f"planned: {found.seeds} seeds, {found.epochs} epochs{fewer}; {len(times) * found.seeds} runs, about "
        f"{found.seconds / 60:.0f} min"
    )
    home.prepare(named)
    files.write_json(path, {**asked, **attrs.asdict(found)})
    return found


def _devices(device: str | None, jobs: int) -> tuple[tuple[str | None, ...], int]:
    """The devices that jobs take turns on, and how many of them really run side by side."""
    if device is None and jobs > 1:
        import torch

        if torch.cuda.device_count() > 1:
            found = tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
            return found, min(jobs, len(found))
    return (device,), 1


def run_study(
    made: Study,
    *,
    device: str | None = None,
    jobs: int = 1,
    launcher: str = "local",
    options: Mapping[str, str] | None = None,
    plugins: Sequence[str] = (),
    watcher: Watcher | None = None,
) -> Table:
    """Run what is missing of an ablation, and write its table and chart."""
    if launcher == "local":
        from recipe.devices import pick

        pick(device)  # told before anything is written
    chosen = launcher_of(launcher, options or {}, made.home.folder)
    made.home.prepare(made.identity)
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 and launcher == "local" else None
    devices = _devices(device, jobs)[0] if launcher == "local" else (device,)
    absolute = tuple(os.path.abspath(plugin) for plugin in plugins)
    Execution(made.home, chosen, jobs, devices, threads, absolute, watcher or Watcher()).run(made.tasks)
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
    Raises `RecipeError`, before anything is trained where a row can't be, and `Interrupted`.
    """
    words = Vocabulary.installed(Path(plugin) for plugin in plugins)
    made = study(
        recipe, *statements, mode=mode, over=over, seeds=seeds, budget=budget, out=out, device=device, vocabulary=words
    )
    return run_study(made, device=device, jobs=jobs, launcher=launcher, options=options, plugins=plugins)
