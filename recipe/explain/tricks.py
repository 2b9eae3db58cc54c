"""Describe a trick from its docstrings and declarations. Needs no torch."""

from __future__ import annotations

import inspect
import re
from typing import Any

from recipe.plugins.during import SPAN
from recipe.plugins.fields import Field
from recipe.plugins.trick import Trick

RELATIONS = ("reads", "writes", "after", "needs", "excludes")
"""What a trick declares about slots and other tricks."""

LONGEST = 12
"""Characters of the longest number that is shown without rounding."""


def page(trick: type[Trick], package: str) -> str:
    """Return the page of a trick: its syntax, docstrings, fields and relations, and the package that provides it."""
    declared = trick.declared
    lines = [declared.syntax]
    lines += [line for text in texts(trick) for line in ("", text)]
    if declared.fields:
        lines += ["", "fields", *map(_line, declared.fields)]
    lines.append("")
    for relation in RELATIONS:
        if words := getattr(declared, relation):
            lines.append(f"{relation:<8} {', '.join(words)}")
    if declared.known_as:
        lines.append(f"known as {', '.join(declared.known_as)}")
    if declared.similar_to:
        lines.append(f"similar  {', '.join(declared.similar_to)}")
    if declared.spans:
        lines.append(f"span     {', '.join(f'{field.word}=' for field in SPAN)}")
    lines.append(f"package  {package}")
    return "\n".join(lines)


def texts(trick: type[Trick]) -> list[str]:
    """Return the docstring of a trick, and what its module's docstring adds: details and sources."""
    module = inspect.getmodule(trick)
    about = inspect.cleandoc(module.__doc__ or "") if module else ""
    first, _, more = about.partition("\n")
    _, *source = re.split(r"\. (?=[^\W\d_a-z])", first, maxsplit=1)  # "et al. 2019" is not the end of a sentence
    found = (inspect.cleandoc(trick.__doc__ or ""), *source, more.strip())
    return [text for text in found if text]


def defaults(field: Field) -> dict[str, str]:
    """Return the default of a field as text, under an empty name, and those of other dialects under their names."""
    default = (field.unset or "none") if field.default is None else _readable(field, field.default)
    return {"": default, **{dialect: _readable(field, value) for dialect, value in field.dialects.items()}}


def _readable(field: Field, value: Any) -> str:
    """Return a default for people to read: a number without a short decimal form, such as 4/3, gets four digits."""
    text = field.kind.write(value)
    return f"{value:.4g}" if isinstance(value, float) and len(text) > LONGEST else text


def _line(field: Field) -> str:
    """Describe a field: its word, its help, the values it takes, and its default."""
    if field.required:
        return f"  {field.word:<12} {field.help} ({field.kind.expects}; required)"
    default, *others = (f"{dialect}: {value}" if dialect else value for dialect, value in defaults(field).items())
    return f"  {field.word:<12} {field.help} ({'; '.join([f'{field.kind.expects}; default {default}', *others])})"
