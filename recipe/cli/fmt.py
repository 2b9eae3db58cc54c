"""``recipe fmt``: rewrite recipes in the canonical layout, with their comments. Needs no torch."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import click

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.files import write_output
from recipe.base.printable import printable
from recipe.base.source import MAX_BYTES
from recipe.base.wording import near_file
from recipe.cli import completion
from recipe.cli.inputs import check_names, source_of
from recipe.language.formatter import layout, plain
from recipe.language.parser import parse


@click.command("fmt", short_help="Rewrite recipes in the canonical layout.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", shell_complete=completion.recipes)
@click.option("--check", is_flag=True, help="Change no file; exit with 1 if a file would be changed.")
def command(files: tuple[str, ...], check: bool) -> None:
    """Rewrite recipes in the canonical layout.

    Puts each statement on a line of its own, with single spaces. Words, order and comments stay the same. Also
    removes a byte order mark and replaces CRLF line endings. FILE is a path, or `-` to format standard input to
    standard output.

    \b
    Format a file, then check in CI that every recipe is formatted:
        recipe fmt mine.recipe
        recipe fmt --check *.recipe
    """
    check_names(files)
    differ, errors = False, list[Diagnostic]()
    for file in files:
        try:
            if file != "-" and not os.path.exists(file):
                raise fail("E001", f"file not found: `{file}`", help=near_file(file))
            if os.path.isdir(file):
                help = "name a file; the recipe.lock of a run must not be changed"
                raise fail("E001", f"`{file}` is a folder", help=help)
            source = source_of(file)
            recipe, wrong = parse(attrs.evolve(source, text=plain(source.text)))
            if wrong:
                raise RecipeError(*wrong)
        except RecipeError as error:
            errors += error.diagnostics
            continue
        text = layout(recipe)
        if len(text.encode()) > MAX_BYTES:
            what = f"`{file}` would be larger than {MAX_BYTES // 1024} KiB, the limit for a recipe"
            errors += fail("E005", what, help="split it with `include`").diagnostics
            continue
        differ = differ or text != source.text
        if file == "-" and not check:
            click.echo(text, nl=False, color=True)  # click would remove escape sequences from the text
        elif file != "-" and text != source.text:
            if not check:
                write_output(Path(file).resolve(), text)
            click.echo(f"{'would change' if check else 'changed'} {printable(file)}", err=True)
    if errors:
        raise RecipeError(*errors)
    click.get_current_context().exit(1 if check and differ else 0)
