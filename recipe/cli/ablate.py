"""``recipe ablate``: which tricks of a recipe matter, over several seeds."""

from __future__ import annotations

import sys
from typing import Any

import click

from recipe.base.wording import columns, plural
from recipe.cli.inputs import plugin_option, source_of, stem, vocabulary

FORMATS = ("text", "csv", "json", "markdown")


class _Command(click.Command):
    """A command whose option --over takes all arguments up to the next option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        taking = False
        for at, word in enumerate(args):
            if word == "--":
                spread += args[at:]
                break
            if word == "--over":
                taking = True
                if at + 1 == len(args) or args[at + 1].startswith("--"):
                    ctx.fail('--over needs what it is about: --over "tweak D" "augment mixup"')
            elif taking and not word.startswith("-"):
                spread += ["--over", word]
            else:
                taking = False
                spread.append(word)
        return super().parse_args(ctx, spread)


@click.command("ablate", cls=_Command, short_help="Tell which tricks of a recipe matter.")
@click.argument("file", metavar="FILE")
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…")
@click.option(
    "--mode",
    type=click.Choice(["stack", "drop", "add"]),
    required=True,
    help="stack: each trick on top of those before. drop: all but one. add: one alone.",
)
@click.option("--seeds", type=click.IntRange(1, 1000), help="How many seeds each row has. Default: 3.")
@click.option("--over", multiple=True, metavar="STATEMENTS…", help="What to study, each a row. Default: all it states.")
@click.option("--budget", metavar="TIME", help="Plan seeds and epochs to fit into 90s, 20m or 2h.")
@click.option("--out", type=click.Path(file_okay=False), help="The folder. Default: one in ./ablations.")
@click.option("--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, help="How many run at a time.")
@click.option(
    "--launcher", type=click.Choice(["local", "slurm", "ray"]), default="local", show_default=True, help="Who runs it."
)
@click.option("--launcher-option", "launcher_options", multiple=True, metavar="NAME=VALUE", help="For slurm or ray.")
@click.option("--device", help="Such as cpu or cuda:1. Default: CUDA devices in turn, else the CPU.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="To print it in.")
@click.option("--dry-run", is_flag=True, help="Compile every row, say what would be trained, and stop.")
@plugin_option
def command(
    file: str,
    statements: tuple[str, ...],
    jobs: int,
    launcher: str,
    launcher_options: tuple[str, ...],
    device: str | None,
    form: str,
    dry_run: bool,
    plugins: tuple[str, ...],
    **options: Any,
) -> None:
    """Train a recipe with its tricks stacked, taken out or added one by one, over several seeds, and print the table.

    STATEMENTS are laid over every row. Nothing is trained before all rows are compiled. Repeat the command to go on
    with one that was interrupted, or with more --seeds to run only those: recipe ablate full "epochs 4" --mode drop
    --over "tweak D" "augment mixup" --seeds 5
    """
    if wrong := next((option for option in launcher_options if "=" not in option), None):
        raise click.UsageError(f"--launcher-option takes NAME=VALUE, not `{wrong}`")
    words, source = vocabulary(plugins), source_of(file)
    from recipe.ablation.execute import Unfinished
    from recipe.ablation.launchers import Workers
    from recipe.ablation.progress import Live, Plain
    from recipe.ablation.study import study
    from recipe.ablation.table import Table

    plain = Plain()
    workers = Workers(device, jobs, launcher, dict(option.split("=", 1) for option in launcher_options))
    options |= {"workers": workers, "vocabulary": words, "name": stem(source, "ablation"), "tell": plain.note}
    made = study(source, *statements, **options)
    for said in (*made.warnings, *made.replaced()):
        plain.note(said)
    lines, seeds_run = made.outline.lines, plural(len(made.outline.seeds), "seed")
    runs = plural(len(made.tasks), "run")
    plain.note(f"{plural(len(lines), 'row')}, {seeds_run}: {runs} of {made.epochs}; folder {made.folder}")
    if dry_run:
        there = [task.cell().status != "missing" for task in made.tasks]
        if any(there):
            plain.note(f"{sum(there)} of {runs} are there already")
        rows = [
            (line.label, f"{line.params:,} params", f"{line.macs / 1e6:,.1f} M MACs", line.note)
            for line in made.outline.lines
        ]
        click.echo(columns(rows, right=(1, 2)))
        return
    watcher = plain
    if sys.stderr is not None and sys.stderr.isatty():
        grid = [(row.label, cells) for row, cells in zip(made.rows, made.cells, strict=True)]
        watcher = Live(grid=grid)
    shown = {"text": Table.to_text, "csv": Table.to_csv, "json": Table.to_json, "markdown": Table.to_markdown}
    try:
        table = made.run(watcher)
    except Unfinished as error:
        if error.table is not None:
            click.echo(shown[form](error.table), nl=False)
        raise
    click.echo(shown[form](table), nl=False)
    if all(cell.status == "diverged" for line in table.lines for cell in line.cells):
        sys.exit(3)
