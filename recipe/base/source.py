"""Text with a name, and places in it."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from pathlib import Path

import attrs

MAX_BYTES = 64 * 1024
"""Largest recipe file that is read, in bytes."""


@attrs.frozen(eq=False)
class Source:
    """One text that statements come from: a file, standard input, or the statements of a command line.

    ``folder`` is what relative paths in the text are relative to.
    """

    name: str
    text: str
    folder: Path
    kind: str = "file"  # "file", "override" or "dialect"
    path: Path | None = None  # where it was read from, resolved

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The offset at which each line begins."""
        return (0, *(index + 1 for index, character in enumerate(self.text) if character == "\n"))

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its end."""
        end = self.starts[number] - 1 if number < len(self.starts) else len(self.text)
        return self.text[self.starts[number - 1] : end]


@attrs.frozen
class Span:
    """A range of characters in a source; ``start`` and ``end`` are offsets, ``end`` excluded."""

    source: Source = attrs.field(repr=lambda source: source.name)
    start: int
    end: int

    @property
    def line(self) -> int:
        return bisect_right(self.source.starts, self.start)

    @property
    def column(self) -> int:
        return self.start - self.source.starts[self.line - 1] + 1

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def place(self) -> str:
        """``file:line:column``, as editors and terminals link it."""
        return f"{self.source.name}:{self.line}:{self.column}"

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of the other."""
        return Span(self.source, self.start, max(self.end, other.end))
