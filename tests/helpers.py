"""Helpers for tests: bind recipes, collect their errors, and run commands."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar
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
    """Return the value of an environment variable as a whole number, or None if it is not set."""
    given = os.environ.get(variable)
    if given and not given.isdecimal():
        raise SystemExit(f"{variable} is `{given}`; set it to a whole number, or unset it")
    return int(given) if given else None


def _of_commit() -> int:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return int(done.stdout[:7], 16) if done.returncode == 0 else 0


_given = number_of("RECIPE_TEST_SEED")
SEED = _of_commit() if _given is None else _given
"""The seed of all samples: `RECIPE_TEST_SEED`, or else a number that depends on the commit.

Each commit tests different samples, and a failed run can be repeated.
"""
MORE = number_of("RECIPE_TEST_MORE") or 1
"""A factor for the number of samples: `RECIPE_TEST_MORE`, or else 1."""


T = TypeVar("T")


def sample(values: Iterable[T], count: int) -> list[T]:
    """Return ``count`` × `MORE` of some values, or all of them, in their order. Each commit draws others."""
    given = list(values)
    chosen = random.Random(SEED).sample(range(len(given)), min(count * MORE, len(given)))
    return [given[place] for place in sorted(chosen)]


def arguments(about: str | None) -> tuple[int, int, Path]:
    """Parse the command line of a long check: the number of trials, the seed and the folder."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("trials", type=int, metavar="TRIALS", help="the number of trials")
    parser.add_argument("seed", type=int, metavar="SEED", help="the seed of all random choices")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder to train in")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    return given.trials, given.seed, given.folder


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary.installed()


def vocabulary_with(*tricks: type[Trick]) -> Vocabulary:
    """Return the installed vocabulary with tricks of another package added."""
    words = Vocabulary.installed()
    for one in tricks:
        words._offers[(one.declared.verb, one.declared.clause)] = [Offer("theirs", loaded=one)]
    return words


def parse(text: str) -> Recipe:
    """Parse a text that must have no errors."""
    found, wrong = recipe.language.parser.parse(Source("<test>", text, Path.cwd()))
    assert not wrong, wrong
    return found


def sources(text: str | Path, *statements: str, folder: Path | None = None) -> list[Source]:
    """Return the sources of a recipe, given as text or file, and of the statements that override it."""
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
    """Bind a recipe, given as text or file, with the statements that override it."""
    return recipe.plan.bind.bind(sources(text, *statements, folder=folder), words or vocabulary(), data=data)


def diagnostics(
    text: str | Path, *statements: str, folder: Path | None = None, words: Vocabulary | None = None
) -> tuple[Diagnostic, ...]:
    """Return the errors of a recipe, if any."""
    try:
        bind(text, *statements, folder=folder, words=words)
    except RecipeError as error:
        return error.diagnostics
    return ()


def errors(
    text: str | Path, *statements: str, folder: Path | None = None, words: Vocabulary | None = None
) -> list[str]:
    """Return the codes of a recipe's errors, in order."""
    return [diagnostic.code for diagnostic in diagnostics(text, *statements, folder=folder, words=words)]


@attrs.frozen
class Outcome:
    """The exit code and the output of a command."""

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
