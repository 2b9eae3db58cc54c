"""Commands and their output, as a page writes them."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator

import attrs

SPECIAL = re.compile(r"[*?$`<>|&;()~]")
"""Characters that a shell expands outside of quotes."""

NUMBER = re.compile(r"\d+(?:[.,:]\d+)*(?:e[-+]\d+)?")


@attrs.frozen
class Command:
    """A command of a block: its text in one line, its line in the page, and the output that the page shows."""

    text: str
    line: int
    expected: tuple[str, ...] = ()


def commands(text: str, first: int, console: bool) -> Iterator[Command]:
    """Yield the commands of a block whose text starts at a line of the page. Comments and empty lines are left out.

    >>> [command.text for command in commands("cd a  # there\\nrecipe run \\\\\\n  full\\n", 1, console=False)]
    ['cd a', 'recipe run full']
    """
    written, at, shown = "", first, list[str]()
    finished: Command | None = None
    for number, line in enumerate(text.splitlines(), first):
        starts = not console or line.startswith("$ ")
        if not written and not starts:
            shown.append(line)
            continue
        if not written:
            if finished is not None:
                yield attrs.evolve(finished, expected=tuple(shown))
            finished, shown, at = None, [], number
        part = line.removeprefix("$ ") if console and not written else line.removeprefix("> " if console else "")
        written = f"{written}{part.strip() if written.endswith(' ') else part}"
        if written.endswith("\\"):
            written = f"{written[:-1].rstrip()} "
            continue
        if not _complete(written):
            written += "\n"
            continue
        said = _without_comment(written)
        finished, written = (Command(said, at) if said else None), ""
    if written:
        raise ValueError(f"the command of line {at} has no end")
    if finished is None and shown:
        raise ValueError(f"the output of line {first} has no command")
    if finished is not None:
        yield attrs.evolve(finished, expected=tuple(shown))


def _complete(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def _without_comment(text: str) -> str:
    """Return a command without the comment at its end, which is a `#` after a space outside of quotes."""
    quote = ""
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "#" and (at == 0 or text[at - 1].isspace()):
            return text[:at].strip()
    return text.strip()


def simple(text: str) -> bool:
    """Whether no shell is needed to split a command into words."""
    bare = re.sub(r"'[^']*'", "", text)
    return not SPECIAL.search(re.sub(r'"[^"]*"', "", bare)) and not re.search(r'"[^"]*[$`][^"]*"', bare)


def sampled(text: str) -> tuple[str, ...]:
    """Return the lines of an output without what depends on the data: numbers, blanks, lines of numbers, and warnings.

    >>> sampled("class  images\\n8          34\\nlr 2.591e-05, 0:30 left\\n")
    ('class images', 'lr N, N left')
    """
    lines = (" ".join(line.split()) for line in text.splitlines() if not line.startswith("warning: "))
    return tuple(NUMBER.sub("N", line) for line in lines if re.search(r"[^\W\d]|…", NUMBER.sub("", line)))


def difference(expected: tuple[str, ...], actual: str) -> str:
    """Return how an output differs from the one that a page shows, or an empty string if they match.

    A line of `…` or `...` matches any lines, and `…` inside a line matches any text.

    >>> difference(("a", "…", "d 1…"), "a\\nb\\nc\\nd 123\\n")
    ''
    """
    wanted = "\n".join(line.rstrip() for line in expected).strip("\n").split("\n")
    found = "\n".join(line.rstrip() for line in actual.splitlines()).strip("\n").split("\n")
    parts = [
        r"(?:[^\n]*\n)*?" if line.strip() in ("…", "...") else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in wanted
    ]
    if re.fullmatch("".join(parts), "".join(f"{line}\n" for line in found)):
        return ""
    return "\n".join(difflib.unified_diff(wanted, found, "in the page", "printed", lineterm=""))
