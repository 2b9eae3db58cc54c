"""``docstring``: what `recipe tricks` and a reader of the file are told of a trick."""

from __future__ import annotations

import inspect
import sys

from recipe.base.wording import summary_line
from recipe.explain.tricks import page
from recipe.plugins.trick import Trick
from recipe.testing.findings import Unmet
from recipe.testing.trick_under_test import TrickUnderTest


def docstring(subject: TrickUnderTest) -> None:
    """The class says in a sentence what it does, the module begins with the syntax, and the trick's page shows both."""
    first = summary_line(subject.trick)
    if not (first[:1].isupper() and first.endswith((".", "!", "?")) and " " in first):
        name = subject.trick.__name__
        raise Unmet(f"the docstring of `{name}` begins with “{first}”; let its first line be one whole sentence")
    _syntax(subject)
    shown = page(subject.trick)
    missing = [field.word for field in subject.declared.fields if field.help not in shown]
    if missing or first not in shown:
        raise Unmet(f"the page of `recipe tricks {subject.word}` does not show {missing or first}")


def _syntax(subject: TrickUnderTest) -> None:
    module = sys.modules[subject.trick.__module__]
    lines = inspect.cleandoc(module.__doc__ or "").split("\n")
    if len(_tricks(module)) == 1:
        lines = lines[:1]
    if not any(_names(line, subject.word) for line in lines):
        said = f"begins with “{lines[0]}”" if lines[0] else "is missing"
        help = f"let its first line be the syntax, a colon, and what it does: “{subject.declared.syntax}: …”"
        raise Unmet(f"the docstring of the module `{module.__name__}` {said}; {help}")


def _tricks(module: object) -> set[type]:
    """The tricks that a module declares; one that has several says the syntax of each in a line of its own."""
    own = (value for value in vars(module).values() if isinstance(value, type) and "declared" in vars(value))
    return {value for value in own if issubclass(value, Trick)}


def _names(line: str, word: str) -> bool:
    """Whether a line is a syntax: the trick's words in their order, the verb first, before a colon.

    >>> _names("lr … step E…: divide the rate", "lr step"), _names("step the lr: divide it", "lr step")
    (True, False)
    """
    before, colon, after = line.partition(":")
    said, wanted = before.split(), word.split()
    rest = iter(said)
    return bool(colon and after.strip()) and said[:1] == wanted[:1] and all(part in rest for part in wanted)
