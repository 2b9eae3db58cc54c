"""``recipe new``: create a plugin package. Needs no torch."""

from __future__ import annotations

from pathlib import Path

import click

from recipe.base.printable import command_line, path_word, printable
from recipe.cli.inputs import vocabulary
from recipe.scaffold import write_plugin


@click.group("new", short_help="Create a plugin package.")
def command() -> None:
    """Create a plugin package for tricks of your own.

    \b
    Create recipe-glow, with `tweak glow` and `augment glow`:
        recipe new plugin glow
    """


@command.command("plugin")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write to. Default: the package's name.")
def plugin(name: str, out: Path | None) -> None:
    """Create a package with two tricks and their tests.

    The tricks are examples to start from: `tweak NAME` rewrites the graph, and `augment NAME` transforms a batch. NAME
    consists of lowercase letters, digits and hyphens.

    \b
    Create recipe-shine, with `tweak shine` and `augment shine`:
        recipe new plugin shine
    """
    root, written = write_plugin(name, out, vocabulary(()))
    for path in written:
        click.echo(printable(path))
    click.echo(f"next: {command_line('cd', path_word(root))} && pip install -e '.[test]' && pytest")
