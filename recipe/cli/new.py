"""``recipe new``: begin something of your own; without torch."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from recipe.cli.inputs import vocabulary
from recipe.scaffold import write_plugin


@click.group("new", short_help="Begin a plugin package.")
def command() -> None:
    """Begin something of your own."""


@command.command("plugin")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write. Default: the package's name.")
def plugin(name: str, out: Path | None) -> None:
    """Write a working package with two tricks, a rewrite and a batch transform, with their tests."""
    root, written = write_plugin(name, out, vocabulary(()))
    for path in written:
        click.echo(path)
    click.echo(f"next: cd {shlex.quote(str(root))} && pip install -e '.[test]' && pytest")
