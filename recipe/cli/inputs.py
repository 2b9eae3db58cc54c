"""What commands take: a recipe as a path, a shipped example, text, or standard input."""

from __future__ import annotations

import os
import sys
from importlib import resources
from pathlib import Path

import click

from recipe.base.errors import fail
from recipe.base.source import MAX_BYTES, Source
from recipe.base.wording import did_you_mean, listing
from recipe.language.recipe_input import decode, read
from recipe.plugins.vocabulary import Vocabulary


def examples() -> dict[str, Path]:
    """The shipped examples, by name, with and without their ending."""
    root = Path(str(resources.files("recipe") / "examples"))
    found = {path.relative_to(root).as_posix(): path for path in sorted(root.glob("**/*.recipe"))}
    return {name.removesuffix(".recipe"): path for name, path in found.items()} | found


def source_of(file: str) -> Source:
    """The source that FILE names: ``-``, a path, the name of a shipped example, or the recipe itself."""
    if file == "-":
        if sys.stdin is None:
            raise fail("E001", "standard input is closed", help="name a file, or pipe a recipe in")
        return decode(sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>", Path.cwd())
    if os.path.isfile(lock := os.path.join(file, "recipe.lock")):  # the folder of a run
        tell_lost(file)
        return read(Path(lock), lock)
    shipped = examples()
    if os.path.exists(file) and not (os.path.isdir(file) and file in shipped):  # unlike Path's, it takes any text
        return read(Path(file), file)
    if file in shipped:
        return read(shipped[file], file)
    if any(mark in file.strip() for mark in "; \n"):
        return decode(file.encode("utf-8", "surrogateescape"), "<text>", Path.cwd())
    names = [name for name in shipped if not name.endswith(".recipe")]
    otherwise = f"shipped examples are {listing(_short(shipped), 4)}"
    help = did_you_mean(file, names, otherwise, form="the example `{}`".format)
    raise fail("E001", f"there is no file or example `{file}`", help=help)


def tell_lost(folder: str) -> None:
    """Warn where a run's folder is of a package's tricks that is not installed any more."""
    from recipe.runs.reader import lost_packages

    if lost := lost_packages(Path(folder)):
        click.echo(f"warning: the run in `{folder}` used {', '.join(lost)}, not installed here", err=True)


def _short(shipped: dict[str, Path]) -> list[str]:
    return [name for name in shipped if not name.endswith(".recipe") and "/" not in name]


def vocabulary(plugins: tuple[str, ...]) -> Vocabulary:
    return Vocabulary.installed(Path(plugin) for plugin in plugins)


plugin_option = click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE.py", help="Also load tricks from a file."
)
