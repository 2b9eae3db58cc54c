"""``recipe check``: show all errors and warnings of recipes. Needs no torch."""

from __future__ import annotations

import sys

import click

from recipe.base import failure
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.rendering import render, to_github, to_json, wants_color
from recipe.base.wording import plural
from recipe.cli import completion
from recipe.cli.inputs import check_names, plugin_option, source_of, vocabulary
from recipe.plan.bind import bind


@click.command("check", short_help="Show all errors and warnings of recipes.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", shell_complete=completion.recipes)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How to print them; github annotates the lines of a pull request.",
)
@plugin_option
def command(files: tuple[str, ...], form: str, plugins: tuple[str, ...]) -> None:
    """Show all errors and warnings of recipes.

    Each FILE is a path, `-`, a run folder, a shipped example, or the text of a recipe.

    \b
    Check a file, then a recipe that is not in a file:
        recipe check mine.recipe
        recipe check "base resnet50; lr warmup 5 cosine"

    Exits with 2 if there are errors; warnings don't change the exit code. Errors that only show in the model, such as
    a tweak without a site, need `recipe explain`.
    """
    check_names(files)
    words = vocabulary(plugins)
    told: list[Diagnostic] = []
    for file in files:
        try:
            told += bind([source_of(file, words.verbs())], words, data=True).warnings
        except RecipeError as error:
            told += error.diagnostics
    # Report a diagnostic of a shared include once.
    told = list({(d.code, d.message, (d.span.source.text, d.span.place) if d.span else ""): d for d in told}.values())
    errors = sum(diagnostic.severity == "error" for diagnostic in told)
    if form == "json":
        click.echo(to_json(told))
    elif form == "github":
        click.echo(to_github(told), nl=bool(told))
    else:
        if told:
            click.echo(render(told, wants_color(sys.stdout)) + "\n")
        counts = f"{plural(errors, 'error')}, {plural(len(told) - errors, 'warning')}"
        click.echo(f"{plural(len(files), 'recipe')} checked: {counts if told else 'no errors or warnings'}")
    if errors:
        failure.leave(RecipeError(*told))
    click.get_current_context().exit(2 if errors else 0)
