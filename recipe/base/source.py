"""Text with a name, and places in it."""

from __future__ import annotations

from pathlib import Path

import attrs

MAX_BYTES = 64 * 1024  # of the largest recipe file that is read


@attrs.frozen(eq=False)
class Source:
    """One text that statements come from: a file, standard input, or the statements of a command line."""

    name: str
    text: str
    folder: Path  # what relative paths in the text are relative to
    kind: str = "file"  # "file", "override" or "dialect"
    path: Path | None = None  # where it was read from, resolved

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its end."""
        return self.text.split("\n")[number - 1]


@attrs.frozen
class Span:
    """A range of characters in a source; ``start`` and ``end`` are offsets, ``end`` excluded."""

    source: Source = attrs.field(repr=lambda source: source.name)
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.text.count("\n", 0, self.start) + 1

    @property
    def column(self) -> int:
        return self.start - self.source.text.rfind("\n", 0, self.start)

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
