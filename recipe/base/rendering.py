"""Render diagnostics as text, as JSON, and as GitHub workflow commands."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TextIO

import click

from recipe.base.diagnostics import Diagnostic
from recipe.base.printable import printable
from recipe.base.source import Span
from recipe.base.wording import plural

SCHEMA_VERSION = 1

MOST = 100
"""The most diagnostics that are shown as text. JSON has all of them."""


def wants_color(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that accepts color."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return stream is not None and stream.isatty() and not plain


def _unstyled(text: str, **style: object) -> str:
    return text


def _excerpt(span: Span, label: str, mark: str, hue: str, style: Callable[..., str]) -> list[str]:
    number = str(span.line)
    margin = " " * len(number)
    line = span.source.line(span.line)
    start = span.column - 1
    if len(line) > 160:  # show the part of a long line that matters
        cut = max(0, start - 60)
        line, start = line[cut : cut + 160], start - cut
    length = max(1, min(span.end - span.start, len(line) - start))
    shown = "".join(letter if letter.isprintable() else " " for letter in line)
    caret = style(f"{mark * length} {printable(label)}" if label else mark * length, fg=hue, bold=True)
    arrow, bar, shown_number = (style(text, fg="blue", bold=True) for text in ("-->", "|", number))
    return [
        f"{margin}{arrow} {printable(span.place)}",
        f"{margin} {bar}",
        f"{shown_number} {bar} {shown}",
        f"{margin} {bar} {' ' * start}{caret}",
    ]


def _rendered(diagnostic: Diagnostic, style: Callable[..., str]) -> str:
    hue = "red" if diagnostic.severity == "error" else "yellow"
    head = style(f"{diagnostic.severity}[{diagnostic.code}]", fg=hue, bold=True)
    lines = [head + style(f": {printable(diagnostic.message)}", bold=True)]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, "", "^", hue, style)
    for span, label in diagnostic.others:
        lines += _excerpt(span, label, "-", "blue", style)
    if diagnostic.help:
        lines.append(f"  {style('= help:', bold=True)} {printable(diagnostic.help)}")
    return "\n".join(lines)


def render(diagnostics: Sequence[Diagnostic], color: bool = False) -> str:
    """Return diagnostics as text with the offending words underlined, separated by blank lines.

    The first `MOST` are shown, and the others are counted.
    """
    style = click.style if color else _unstyled
    shown = [_rendered(diagnostic, style) for diagnostic in diagnostics[:MOST]]
    return "\n\n".join([*shown, *_others(diagnostics[MOST:])])


def _others(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return how many more there are, in words, or nothing if there are none."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    told = " and ".join(f"{count:,} more {plural(count, kind).split()[1]}" for kind, count in sorted(counts.items()))
    return [f"and {told}"] if told else []


def _place(span: Span) -> dict[str, object]:
    return {"file": span.source.name, "line": span.line, "column": span.column, "text": span.text}


def as_data(diagnostic: Diagnostic) -> dict[str, object]:
    """Return a diagnostic as plain JSON values."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "place": _place(diagnostic.span) if diagnostic.span else None,
        "others": [{**_place(span), "label": label} for span, label in diagnostic.others],
        "help": diagnostic.help or None,
    }


def to_json(diagnostics: Sequence[Diagnostic]) -> str:
    """Return all diagnostics as a JSON document."""
    return json.dumps({"schema_version": SCHEMA_VERSION, "diagnostics": list(map(as_data, diagnostics))}, indent=2)


def to_github(diagnostics: Sequence[Diagnostic]) -> str:
    """Return diagnostics as workflow commands, which GitHub shows as annotations on a pull request.

    The first `MOST` are shown, and the others are counted.
    """

    def escape(text: str) -> str:
        return printable(text).replace("%", "%25")

    lines = []
    for diagnostic in diagnostics[:MOST]:
        place = ""
        if (span := diagnostic.span) is not None:
            name = escape(span.source.name).replace(",", "%2C").replace(":", "%3A")
            place = f"file={name},line={span.line},col={span.column},"
        text = escape(diagnostic.message) + (f"%0Ahelp: {escape(diagnostic.help)}" if diagnostic.help else "")
        lines.append(f"::{diagnostic.severity} {place}title={diagnostic.code}::{text}")
    return "\n".join([*lines, *(f"::notice ::{told}" for told in _others(diagnostics[MOST:]))])
