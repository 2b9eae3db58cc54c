"""What a shell offers when Tab is pressed: recipes, runs, and words inside a quoted statement. Imports no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, shell_complete

from recipe.base.printable import printable
from recipe.base.wording import summary_line
from recipe.language.recipe_input import LOCK, SUFFIX, examples
from recipe.plan.completing import completions
from recipe.plugins.entry_points import registered
from recipe.plugins.vocabulary import Vocabulary

DEPTH = 3
"""How deep a run folder may be in `runs`. That of an ablation has the runs in folders of its own."""


def answer(group: click.Group, variable: str) -> int:
    """Print what an environment variable asks for, and return the exit code."""
    return shell_complete(group, {}, "recipe", variable, os.environ[variable])


def recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a recipe: an example, a file, a run folder, or text. Other paths are left to the shell.

    Examples in folders are offered once something is typed.
    """
    if re.search(r"[;\s]", incomplete):
        return _items(completions(incomplete, Vocabulary.installed()))
    names = [name for name in examples() if not name.endswith(SUFFIX) and (incomplete or "/" not in name)]
    files = [str(path) for path in sorted(Path().glob(f"*{SUFFIX}"))]
    return _matching([*names, *files, *_runs()], incomplete)


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a run folder. Other paths are left to the shell."""
    return _matching(_runs(), incomplete)


def statements(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last word of statements."""
    return _items(completions(incomplete, Vocabulary.installed()))


def sides(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a side of a comparison: a recipe, or statements after ``+``."""
    given = ctx.params.get(param.name or "") or ()
    return statements(ctx, param, incomplete) if given and given[-1] == "+" else recipes(ctx, param, incomplete)


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave a path to the shell."""
    return [CompletionItem(incomplete, type="file")]


def folders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave a folder to the shell."""
    return [CompletionItem(incomplete, type="dir")]


def formats(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an export format."""
    return _registered("recipe.formats", incomplete)


def trackers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a tracker."""
    return _registered("recipe.trackers", incomplete)


def tricks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the verb or the clause of a trick, with the summary of the trick."""
    words, verb = Vocabulary.installed(), ctx.params.get("verb")
    keys = [key for key in words.keys() if verb is None or key[0] == verb]  # noqa: SIM118
    if verb is None:
        return _items(verb for verb in dict.fromkeys(key[0] for key in keys) if verb.startswith(incomplete))
    found = [clause for _, clause in keys if clause is not None and clause.startswith(incomplete)]
    return [CompletionItem(clause, help=printable(summary_line(words.load(verb, clause)))) for clause in found]


def _registered(group: str, incomplete: str) -> list[CompletionItem]:
    entries, _ = registered(group)
    return _items(sorted({entry.name for _, entry in entries if entry.name.startswith(incomplete)}))


def _runs() -> list[str]:
    """Return the run folders in this folder and in `runs`."""
    found: list[str] = []
    for pattern in (f"*/{LOCK}", *(f"runs/{'*/' * depth}{LOCK}" for depth in range(1, DEPTH))):
        found += [str(path.parent) for path in sorted(Path().glob(pattern))]
    return found


def _matching(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    found = [name for name in names if name.startswith(incomplete)]
    return _items(found) if found else [CompletionItem(incomplete, type="file")]


def _items(words: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words]
