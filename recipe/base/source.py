"""Named source texts and the spans in them."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

LOCK_LINE = re.compile(r"# plan (?:(v[0-9]+) )?([0-9a-f]{16})\n")
"""The first line of the lock of a run: the version of its digest, if it has one, and the digest of its plan."""

MAX_BYTES = 64 * 1024  # maximum size of a recipe file


@attrs.frozen(eq=False)
class Source:
    """A text that contains statements: a file, standard input, or the statements on a command line."""

    name: str
    text: str
    folder: Path  # base for relative paths in the text
    kind: str = "file"  # "file", "override", "suggestion" or "dialect"
    path: Path | None = None  # resolved path of the file, if it was read from one

    @property
    def is_lock(self) -> bool:
        """Whether it is the lock of a run, which states every value that was suggested or left out."""
        return LOCK_LINE.match(self.text) is not None

    def line(self, number: int) -> str:
        """Return the text of a line without its line ending. Lines are numbered from 1."""
        return self.text.split("\n")[number - 1]


@attrs.frozen
class Span:
    """A range of characters in a source, from offset ``start`` up to but not including ``end``."""

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
        """The location as ``file:line:column``, which editors and terminals can link to."""
        return f"{self.source.name}:{self.line}:{self.column}"

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of the other."""
        return Span(self.source, self.start, max(self.end, other.end))
