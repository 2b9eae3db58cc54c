"""The plugins that a lock names, and what to do if one of them is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from recipe.base.caller import option
from recipe.base.diagnostics import Diagnostic
from recipe.base.source import Source
from recipe.language.ast import Statement, unquoted

LINE = re.compile(r'# plugin (".*") (.+)')


def with_plugin(errors: Iterable[Diagnostic], statement: Statement, source: Source) -> list[Diagnostic]:
    """Return the errors of a statement. If it is of a plugin that the source names, their help says which."""
    if "# plugin " not in source.text or not (help := _help(statement.span.text, source)):
        return [*errors]
    return [attrs.evolve(error, help=help) if error.code in ("E020", "E021") else error for error in errors]


def _help(text: str, source: Source) -> str:
    words = " ".join(text.split())
    for line in filter(None, map(LINE.fullmatch, source.text.split("\n"))):
        if f"{words} ".startswith(f"{line[2]} "):
            name = unquoted(line[1])
            if name.endswith(".py"):
                return f"the run used `{line[2]}` of the file `{name}`: name it with {option('--plugin')}"
            return f"the run used `{line[2]}` of the package `{name}`: install it"
    return ""
