"""``recipe ablate``: measure which tricks of a recipe matter, over several seeds."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from recipe.base.errors import RecipeError, fail
from recipe.base.files import check_page, write_page
from recipe.base.terminal import redraws
from recipe.base.wording import columns, plural
from recipe.cli import completion
from recipe.cli.inputs import check_quoted, plugin_option, source_of, stem, tell_changes, vocabulary
from recipe.plan.bind import resolve

FORMATS = ("text", "csv", "json", "markdown")
"""How to print the table, by the methods of `Table`."""


class _Command(click.Command):
    """A command whose --over option takes all arguments up to the next option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        taking = False
        for at, word in enumerate(args):
            if word == "--":
                spread += args[at:]
                break
            if word == "--over":
                taking = True
                if not ctx.resilient_parsing and (at + 1 == len(args) or args[at + 1].startswith("--")):
                    ctx.fail('--over needs at least one trick: --over "tweak D" "augment mixup"')
            elif word.startswith("--over="):
                taking = False  # this one alone
                spread += ["--over", word.removeprefix("--over=")]
            elif taking and not word.startswith("-"):
                spread += ["--over", word]
            else:
                taking = False
                spread.append(word)
        return super().parse_args(ctx, spread)


@click.command("ablate", cls=_Command, short_help="Measure which tricks of a recipe matter.")
@click.argument("file", metavar="FILE", shell_complete=completion.recipes)
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…", shell_complete=completion.statements)
@click.option(
    "--mode",
    type=click.Choice(["stack", "drop", "add", "screen"]),
    required=True,
    help="stack: add each trick on top of the previous ones. drop: remove one at a time. add: add one at a time. "
    "screen: train a few combinations from which the effect of each trick follows.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    help="Seeds per row, or the most with --until. Default: 3, 2 with --mode screen, 2 to 10 with --budget, or 20 with "
    "--until.",
)
@click.option(
    "--resolution",
    type=click.Choice(["3", "4"]),
    help="With --mode screen. 4: keep effects apart from interactions of two tricks. 3: train about half as many "
    "combinations. Default: 4, or 3 if --runs is too small.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 100_000),
    help="With --mode screen or --until: the most runs, without those of teachers and of --confirm. Chooses the seeds. "
    "Default: no limit.",
)
@click.option(
    "--until",
    type=float,
    metavar="POINTS",
    help="Add seeds where they are needed until no interval is wider than ± POINTS. Default: a fixed number of seeds.",
)
@click.option(
    "--confirm",
    is_flag=True,
    help="With --mode screen: train the best combination, and none of the tricks, again under three new seeds.",
)
@click.option(
    "--short",
    metavar="STATEMENTS",
    help='With --mode screen: statements that only shorten the screening, such as "epochs 2". The best combination is '
    "confirmed without them. Default: none.",
    shell_complete=completion.statements,
)
@click.option(
    "--over",
    multiple=True,
    metavar="STATEMENTS…",
    help="The tricks to study, one row each. Default: every trick that the recipe states.",
    shell_complete=completion.statements,
)
@click.option(
    "--budget", metavar="TIME", help="Choose seeds and epochs to fit into a time: 90s, 20m or 2h. Default: no limit."
)
@click.option(
    "--holdout",
    metavar="SHARE",
    help="Leave a share of the held-out images, from 1% to 50%, out of the table, and report the best row on them. "
    "Default: none.",
)
@click.option("--skip-test", is_flag=True, help="Don't evaluate what is best on the test images, if there are any.")
@click.option("--out", type=click.Path(file_okay=False), help="The ablation folder. Default: a folder in ./ablations.")
@click.option("--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, help="Runs to train at a time.")
@click.option(
    "--launcher",
    type=click.Choice(["local", "slurm", "ray"]),
    default="local",
    show_default=True,
    help="Where to train: on this machine, on Slurm, or on Ray.",
)
@click.option(
    "--launcher-option",
    "launcher_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the slurm or ray launcher, such as timeout_min=120 (minutes). Repeatable.",
)
@click.option(
    "--device",
    metavar="DEVICE",
    help="The device, such as cpu or cuda:1. Default: all CUDA devices in turn, or the CPU.",
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="How to print the table."
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write a self-contained HTML page.")
@click.option("--dry-run", is_flag=True, help="Compile every row, print what would be trained, and exit.")
@plugin_option
def command(
    file: str,
    statements: tuple[str, ...],
    jobs: int,
    launcher: str,
    launcher_options: tuple[str, ...],
    device: str | None,
    form: str,
    html: Path | None,
    dry_run: bool,
    plugins: tuple[str, ...],
    resolution: str | None,
    skip_test: bool,
    **options: Any,
) -> None:
    """Measure which tricks of a recipe matter.

    Trains the recipe with its tricks stacked, dropped or added one at a time, each row under several seeds. Prints
    accuracies, the difference that each trick makes with its 95% confidence interval, and costs. STATEMENTS override
    the recipe in every row. With --mode screen, each row is a combination of tricks, and every run tells about every
    trick.

    \b
    Do `tweak D` and mixup help in a training of 8 epochs?
        recipe ablate full "epochs 8" --mode drop --over "tweak D" "augment mixup"

    \b
    Which tricks of a recipe help, in at most 32 runs?
        recipe ablate full "epochs 8" --mode screen --runs 32

    \b
    The same, with as many seeds as it takes to tell to half a point?
        recipe ablate full "epochs 8" --mode screen --until 0.5

    All rows are compiled before any training starts. Rerun the command to resume an interrupted ablation. Rerun it
    with more --seeds to train only the new ones.
    """
    if wrong := next((option for option in launcher_options if "=" not in option), None):
        raise click.UsageError(f"--launcher-option takes NAME=VALUE, not `{wrong}`")
    if dry_run and (form != "text" or html is not None):
        option = "--format" if html is None else "--html"
        raise click.UsageError(f"--dry-run prints no table, so {option} can't be used with it")
    words = vocabulary(plugins)
    check_quoted(file, statements, words)
    source = source_of(file, words.verbs())
    from recipe.ablation.cells.execute import Unfinished
    from recipe.ablation.cells.launchers import Workers
    from recipe.ablation.cells.progress import Live, Plain
    from recipe.ablation.earlier import replaced
    from recipe.ablation.preparing import study
    from recipe.ablation.report.table import Table
    from recipe.ablation.request import Request

    plain = Plain()
    request = Request(
        **options,
        resolution=int(resolution) if resolution else None,
        test=not skip_test,
        workers=Workers(device, jobs, launcher, dict(option.split("=", 1) for option in launcher_options)),
        name=stem(source, "ablation"),
    )
    made = study(resolve(source, *statements, plugins=words, data=True), request, plain.note)
    if html is not None and made.folder.resolve() in html.resolve().parents:
        help = "name a file in another folder"
        raise fail("E111", f"`{html}` can't be written: it would be in the folder of the ablation", help=help)
    if html is not None:
        check_page(html)
    tell_changes(source, made.rows[0].plan)
    for said in (*made.warnings, *replaced(made.outline, made.folder)):
        plain.note(said)
    lines, seeds_run = made.outline.lines, plural(len(made.outline.seeds), "seed")
    runs, rows, so_far = plural(len(made.tasks), "run"), plural(len(lines), "row"), ""
    if made.until:
        fewest = f"{made.until.first} to " if made.until.first < made.until.most else ""
        seeds_run, so_far = f"{fewest}{seeds_run}", " so far" * bool(fewest)
    again = f", and up to {plural(made.confirming.runs, 'run')} to confirm" if made.confirming else ""
    plain.note(f"{rows}, {seeds_run}: {runs}{so_far} of {made.epochs}{again}; folder {made.folder}")
    if dry_run:
        there = [task.cell().status != "missing" for task in made.tasks]
        if any(there):
            plain.note(f"{sum(there)} of {runs} already done")
        costs = [
            (line.label, f"{line.params:,} params", f"{line.macs / 1e6:,.1f} M MACs", line.note)
            for line in made.outline.lines
        ]
        click.echo(columns(costs, right=(1, 2)))
        return
    watcher = plain
    if redraws(sys.stderr):
        grid = [(row.label, cells) for row, cells in zip(made.rows, made.cells, strict=True)]
        watcher = Live(grid=grid)

    def show(table: Table) -> None:
        click.echo(getattr(table, f"to_{form}")(), nl=False, color=True)
        if html is not None:
            write_page(html, table.to_html(shlex.join(["recipe", *sys.argv[1:]])))

    try:
        table = made.run(watcher)
    except Unfinished as error:
        if error.table is not None:
            try:
                show(error.table)
            except RecipeError as problem:  # the failed runs are more important
                plain.note(f"warning: {problem.diagnostics[-1].message}")
        raise
    show(table)
    if all(cell.status == "diverged" for line in table.lines for cell in line.cells):
        click.get_current_context().exit(3)
