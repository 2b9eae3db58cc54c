"""Short words for what the tests of the language say again and again."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from unittest import mock

import attrs

import recipe.cli
import recipe.language.parser
import recipe.language.recipe_input
import recipe.plan.bind
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.source import Source
from recipe.language.ast import Recipe
from recipe.plan.plan import Plan
from recipe.plugins.trick import Trick
from recipe.plugins.vocabulary import Offer, Vocabulary

ROOT = Path(__file__).parents[1]
EXAMPLES = tuple(sorted((ROOT / "examples").glob("**/*.recipe")))
DIALECTS = ("paper", "gluoncv", "torchvision")


def number_of(variable: str) -> int | None:
    """A whole number of at least 0 that an environment variable gives, if it does."""
    given = os.environ.get(variable)
    if given and not given.isdecimal():
        raise SystemExit(f"{variable} is `{given}`; set it to a whole number, or unset it")
    return int(given) if given else None


def _of_commit() -> int:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return int(done.stdout[:7], 16) if done.returncode == 0 else 0


_given = number_of("RECIPE_TEST_SEED")
SEED = _of_commit() if _given is None else _given
"""What samples are drawn by: that of the environment, or else a number of the commit that is tested.

So each commit tries others, and what fails can be tried again.
"""
MORE = number_of("RECIPE_TEST_MORE") or 1
"""How many times as many samples are tried as in every run."""


def arguments(about: str | None) -> tuple[int, int, Path]:
    """What the long checks are told on their command lines: how many trials, by which seed, in which folder."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("trials", type=int, metavar="TRIALS", help="how many")
    parser.add_argument("seed", type=int, metavar="SEED", help="what they are drawn by")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where trainings go")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    return given.trials, given.seed, given.folder


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary.installed()


def vocabulary_with(*tricks: type[Trick]) -> Vocabulary:
    """All that is installed, and some tricks of another package."""
    words = Vocabulary.installed()
    for one in tricks:
        words._offers[(one.declared.verb, one.declared.clause)] = [Offer("theirs", loaded=one)]
    return words


def parse(text: str) -> Recipe:
    """The syntax of a text without errors."""
    found, wrong = recipe.language.parser.parse(Source("<test>", text, Path.cwd()))
    assert not wrong, wrong
    return found


def sources(text: str | Path, *statements: str, folder: Path | None = None) -> list[Source]:
    """A recipe, from its text or its file, and the statements of a command line over it."""
    folder = folder or Path.cwd()
    below = recipe.language.recipe_input.read(text) if isinstance(text, Path) else Source("<test>", text, folder)
    return [below, Source("<statements>", "\n".join(statements), folder, "override")] if statements else [below]


def bind(
    text: str | Path,
    *statements: str,
    data: bool = False,
    folder: Path | None = None,
    words: Vocabulary | None = None,
) -> Plan:
    """The plan of a recipe, from its text or its file, with the statements of a command line laid over it."""
    return recipe.plan.bind.bind(sources(text, *statements, folder=folder), words or vocabulary(), data=data)


def diagnostics(
    text: str | Path, *statements: str, folder: Path | None = None, words: Vocabulary | None = None
) -> tuple[Diagnostic, ...]:
    """The errors of a recipe, or none."""
    try:
        bind(text, *statements, folder=folder, words=words)
    except RecipeError as error:
        return error.diagnostics
    return ()


def errors(
    text: str | Path, *statements: str, folder: Path | None = None, words: Vocabulary | None = None
) -> list[str]:
    """The codes of a recipe's errors, in order."""
    return [diagnostic.code for diagnostic in diagnostics(text, *statements, folder=folder, words=words)]


@attrs.frozen
class Outcome:
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str


def command(*arguments: str | Path, stdin: bytes = b"") -> Outcome:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    status = 0
    with (
        mock.patch.object(sys, "argv", ["recipe", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", given),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            recipe.cli.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())
