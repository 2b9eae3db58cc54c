"""Text for messages: suggestions, lists, plurals, durations, columns, and one-line error summaries."""

from __future__ import annotations

import difflib
import inspect
import io
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from recipe.base.printable import printable


def edits(word: str, other: str) -> int:
    """Return how many letters are inserted, deleted, replaced or swapped with the next one between two words.

    >>> edits("warmpu", "warmup"), edits("drop", "dropout")
    (1, 3)
    """
    older: list[int] = []
    before = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, letter_of_other in enumerate(other, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != letter_of_other)))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == letter_of_other:
                row[j] = min(row[j], older[j - 2] + 1)
        older, before = before, row
    return before[-1]


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate whose spelling is closest to ``word``, or None if none is close.

    One edit per three letters of the longer word is close, and so is the start of a word. A word with more after it is
    another word: ``dropout`` isn't ``drop``.

    >>> nearest("fotos", ["photos", "runs"]), nearest("dropout", ["drop"])
    ('photos', None)
    """
    lower = {candidate.lower(): candidate for candidate in sorted(candidates, reverse=True)}
    matches = difflib.get_close_matches(word.lower(), sorted(lower), n=3, cutoff=0.6)
    for match in matches:
        most = max(1, len(word) // 3, len(match) // 3)
        if edits(word.lower(), match) <= most or match.startswith(word.lower()):
            return lower[match]
    return None


def did_you_mean(
    word: str,
    candidates: Iterable[str],
    otherwise: str = "",
    *,
    before: str = "",
    form: Callable[[str], str] = "`{}`".format,
) -> str:
    """Return a "did you mean" question for an unknown word, or ``otherwise`` if no candidate is close.

    ``before`` is prepended to the question; ``form`` formats the candidate.

    >>> did_you_mean("warmpu", ["warmup", "cosine"])
    'did you mean `warmup`?'
    """
    near = nearest(word, candidates)
    return otherwise if near is None else f"{before}did you mean {form(near)}?"


def near_file(path: str | os.PathLike[str]) -> str:
    """Return help for a file or folder that doesn't exist: the names next to it that are spelled or end like it.

    It is empty if there are none. A relative path is answered with one.
    """
    folder, name = os.path.split(os.path.abspath(path))
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    ending = os.path.splitext(name)[1].lower()
    alike = [one for one in names if ending and one.lower().endswith(ending) and not one.startswith(".")]
    start = "" if os.path.isabs(path) else os.path.dirname(path)
    otherwise = f"`{folder}` has {listing(alike, 4)}" if alike else ""
    return did_you_mean(name, names, otherwise, form=lambda near: f"`{os.path.join(start, near)}`")


def listing(words: Iterable[str], most: int = 12) -> str:
    """Return the sorted words in backticks; if some are left out, end with their number."""
    words = sorted(words)
    shown = ", ".join(f"`{word}`" for word in words[:most])
    return shown + (f" and {len(words) - most} more" if len(words) > most else "")


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path relative to the working directory if it is inside of it, and else the absolute path.

    >>> shown_path(os.path.abspath("runs/a")), shown_path("/no/where")
    ('runs/a', '/no/where')
    """
    absolute, here = Path(os.path.abspath(path)), Path(os.path.abspath("."))
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def with_near_paths(text: str) -> str:
    """Return a message whose absolute paths are relative to the working directory if they are inside of it.

    Data keeps absolute paths, which still hold in another directory. They are shortened where a message is shown.

    >>> with_near_paths(f"`{os.path.abspath('photos/a b')}` is empty")
    '`photos/a b` is empty'
    """
    here = os.path.join(os.path.abspath("."), "")
    return re.sub(rf"(?<![^\s`\"'(=]){re.escape(here)}(?=[^\s`\"')])", "", text) if len(here) > 1 else text


def how_to_install(requirement: str) -> str:
    """Return help for an error about a package that is missing.

    Args:
        requirement: What pip installs, such as ``recipe-compiler[onnx]`` for an extra of this package.

    Returns:
        The help, which for an extra also names the command for a clone.

    >>> print(how_to_install("recipe-compiler[onnx]"))
    install it with `pip install '.[onnx]'` in the clone of recipe, or `pip install 'recipe-compiler[onnx]'` without one
    """
    command = f"`pip install '{requirement}'`"
    extra = requirement.removeprefix("recipe-compiler")
    cloned = "" if extra == requirement else f"`pip install '.{extra}'` in the clone of recipe, or "
    return f"install it with {cloned}{command}{' without one' * bool(cloned)}"


def plural(number: float, what: str, several: str = "", form: str = "") -> str:
    """Return a number with its noun: ``1 epoch``, ``2 epochs``.

    ``several`` is the plural if it ends in neither -s nor, after an s, in -es. ``form`` is how to format the number.

    >>> plural(1, "class"), plural(2000, "class", form=",")
    ('1 class', '2,000 classes')
    """
    several = several or (f"{what}es" if what.endswith("s") else f"{what}s")
    return f"{number:{form}} {what if number == 1 else several}"


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration, or None if the text is not a positive duration.

    >>> [parse_duration(text) for text in ("90s", "20m", "1.5h", "0s", "20")]
    [90.0, 1200.0, 5400.0, None, None]
    """
    parts = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)([smh])", text.strip())
    return float(parts[1]) * {"s": 1, "m": 60, "h": 3600}[parts[2]] or None if parts else None


def format_duration(seconds: float) -> str:
    """Format a duration as hours, minutes and seconds; omit the hours if there are none.

    >>> format_duration(245), format_duration(3845)
    ('4:05', '1:04:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = (), indent: int = 0) -> str:
    """Align rows in columns separated by two spaces; right-align the columns whose indices are in ``right``.

    Each column is as wide as its widest cell, regardless of the terminal's width. Lines have no trailing spaces. Cells
    are made printable.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    for number in range(max(map(len, rows), default=0)):
        grid.add_column(justify="right" if number in right else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(file=io.StringIO(), width=1 << 20, color_system=None, legacy_windows=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(Padding.indent(grid, indent), soft_wrap=False)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def reason_of(error: BaseException, otherwise: str = "") -> str:
    """Return the first line of an error's message, or ``otherwise`` if it is empty. For the system's, its reason."""
    if isinstance(error, OSError) and error.strerror:
        return system_reason(error)
    return (str(error).strip() or otherwise).split("\n")[0]


def first_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {reason_of(error, 'no message')}"


def system_reason(error: Exception) -> str:
    """Return the system's reason in lower case, such as ``no space left on device``, or else the error's message."""
    return str(getattr(error, "strerror", None) or error).lower()


def summary_line(documented: object) -> str:
    """Return the first line of an object's docstring, or an empty string if it has none."""
    return inspect.cleandoc(documented.__doc__ or "").split("\n")[0]
