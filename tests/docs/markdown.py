"""Markdown: tables to write, and the fences and headings of a page to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*)$")
COMMENT = re.compile(r"^ *<!--(.*?)-->\s*$")


def row(cells: Iterable[str]) -> str:
    """Return a row of a table.

    >>> row(["a|b", "c"])
    '| a\\\\|b | c |'
    """
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


@attrs.frozen
class Block:
    """A fenced block: its language, its text, the line of its opening fence, and the comments directly before it."""

    language: str
    text: str
    line: int
    notes: tuple[str, ...] = ()

    def note(self, name: str) -> str | None:
        """Return what a comment says after its name, ``file: NAME``, or None if there is no such comment."""
        for note in self.notes:
            said, _, rest = note.partition(":")
            if said.strip() == name:
                return rest.strip()
        return None


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order. A fence without a language is ``text``."""
    notes: list[str] = []
    inside: tuple[int, str, str, str] | None = None
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if inside is not None:
            start, indent, mark, language = inside
            if fence and fence[2].startswith(mark) and not fence[3].strip():
                yield Block(language, "".join(f"{each}\n" for each in found), start, tuple(notes))
                inside, notes, found = None, [], []
            else:
                found.append(line.removeprefix(indent))
        elif fence:
            inside = (number, fence[1], fence[2], fence[3].strip() or "text")
        elif comment := COMMENT.match(line):
            notes.append(comment[1].strip())
        elif line.strip():
            notes = []
    if inside is not None:
        raise ValueError(f"the fence of line {inside[0]} is not closed")


def without_code(text: str) -> str:
    """Return a page with its fenced blocks and comments as empty lines, so that lines keep their numbers."""
    kept, mark = [], ""
    for line in text.splitlines():
        fence = FENCE.match(line)
        if mark:
            kept.append("")
            mark = "" if fence and fence[2].startswith(mark) and not fence[3].strip() else mark
        elif fence:
            kept.append("")
            mark = fence[2]
        else:
            kept.append(line)
    return re.sub(r"<!--.*?-->", "", "\n".join(kept), flags=re.S)


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading.

    >>> slug("The paper's `lr` — *E030*: a [link](x.md)")
    'the-papers-lr--e030-a-link'
    """
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub numbers those that repeat, and those that the page names."""
    found: set[str] = set()
    plain = without_code(text)
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", plain, re.M):
        base = anchor = slug(heading)
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{base}-{number}"
        found.add(anchor)
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', plain))


def links(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the target of each link and image of a page."""
    plain = re.sub(r"(`+).+?\1", "", without_code(text))
    for found in re.finditer(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]: *(\S+)", plain, re.M):
        yield plain.count("\n", 0, found.start()) + 1, found[1] or found[2]
