"""Describe a trick from its docstrings and declarations. Needs no torch."""

from __future__ import annotations

import inspect

from recipe.plugins.fields import Field
from recipe.plugins.trick import Trick


def page(trick: type[Trick], package: str) -> str:
    """Return the page of a trick: its syntax, docstrings, fields and relations, and the package that provides it."""
    declared = trick.declared
    lines = [declared.syntax, "", inspect.cleandoc(trick.__doc__ or "")]
    source = inspect.getmodule(trick)
    about = inspect.cleandoc(source.__doc__ or "") if source else ""
    first, _, more = about.partition("\n")
    lines += [line for text in (first.partition(". ")[2], more.strip()) if text for line in ("", text)]
    if declared.fields:
        lines += ["", "fields", *map(_line, declared.fields)]
    lines.append("")
    for relation in ("reads", "writes", "after", "needs", "excludes"):
        if words := getattr(declared, relation):
            lines.append(f"{relation:<8} {', '.join(words)}")
    lines.append(f"package  {package}")
    return "\n".join(lines)


def _line(field: Field) -> str:
    """Describe a field: its word, its help, the values it takes, and its default."""
    if field.required:
        return f"  {field.word:<12} {field.help} (required)"
    default = "none" if field.default is None else field.kind.write(field.default)
    others = "".join(f"; {dialect}: {field.kind.write(value)}" for dialect, value in field.dialects.items())
    return f"  {field.word:<12} {field.help} ({field.kind.expects}; default {default}{others})"
