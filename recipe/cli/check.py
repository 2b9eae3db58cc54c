"""``recipe check``: all errors and warnings of recipes, without torch."""

from __future__ import annotations

import sys

import click

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.rendering import render, to_github, to_json, wants_color
from recipe.base.wording import plural
from recipe.cli.inputs import plugin_option, source_of, vocabulary
from recipe.plan.bind import bind


@click.command("check", short_help="Show all errors and warnings of recipes.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", help="How to print them."
)
@plugin_option
def command(files: tuple[str, ...], form: str, plugins: tuple[str, ...]) -> None:
    """Show all errors and warnings of recipes. Exits with 2 where there is an error; never imports torch."""
    words = vocabulary(plugins)
    found: list[Diagnostic] = []
    for file in files:
        try:
            found += bind([source_of(file)], words, data=True).warnings
        except RecipeError as error:
            found += error.diagnostics
    # What several recipes include is told once.
    found = list({(d.code, d.message, (d.span.source.text, d.span.place) if d.span else ""): d for d in found}.values())
    wrong = sum(diagnostic.severity == "error" for diagnostic in found)
    if form == "json":
        click.echo(to_json(found))
    elif form == "github":
        click.echo(to_github(found), nl=bool(found))
    else:
        if found:
            click.echo(render(found, wants_color(sys.stdout)) + "\n")
        counts = f"{plural(wrong, 'error')}, {plural(len(found) - wrong, 'warning')}"
        click.echo(f"{plural(len(files), 'recipe')} checked: {counts if found else 'all fine'}")
    sys.exit(2 if wrong else 0)
