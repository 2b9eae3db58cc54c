"""``recipe runs``: list the runs in a folder, with what differs between them and their results."""

from __future__ import annotations

import json
from pathlib import Path

import click

from recipe.cli import completion
from recipe.cli.inputs import plugin_option, vocabulary
from recipe.runs.overview import SORTS, overview


@click.command("runs", short_help="List runs, what differs between them, and their results.")
@click.argument("folder", metavar="[FOLDER]", default="runs", shell_complete=completion.folders)
@click.option("--sort", type=click.Choice(SORTS), default="name", show_default=True, help="The column to sort by.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_option
def command(folder: str, sort: str, as_json: bool, plugins: tuple[str, ...]) -> None:
    """List the runs in FOLDER and its subfolders. FOLDER is `runs` by default.

    The columns after the time are the values that are not the same in all runs. Runs of an ablation are included.

    \b
    The runs with the highest accuracy first:
        recipe runs --sort top1
    """
    table = overview(Path(folder), vocabulary(plugins)).sorted_by(sort)
    click.echo(json.dumps(table.to_dict(), indent=2) if as_json else table.to_text())
