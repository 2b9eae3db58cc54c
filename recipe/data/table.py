"""Read a list of images and their labels: comma-separated values and its relatives, or lines of a path and a label.

Needs no torch.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.files import opened
from recipe.base.wording import did_you_mean, listing, plural
from recipe.data.folders import has_ending
from recipe.data.splits import part_named

IMAGE = (
    "image", "path", "image path", "img path", "file path", "filepath", "file", "file name", "filename", "image name",
    "image file", "img", "image id", "img id", "id",
)  # fmt: skip
"""The usual names of the column of images, the most certain first. A blank also stands for ``_``, ``-`` or nothing."""

LABEL = ("label", "class", "class name", "label name", "category", "category name", "target", "class id", "label id")
"""The usual names of the column of labels, the most certain first."""

Line = tuple[int, list[str]]
"""The number of a line, and its cells."""

DELIMITERS = ",\t;|"

LOOKED_AT = 100
"""The number of lines that decide on the delimiter."""

MOST_SHOWN = 5
"""The number of lines of a kind that an error names."""


@attrs.frozen
class Columns:
    """The names of the columns of a list, as far as a recipe states them."""

    image: str | None = None
    """That of the paths, or None for a usual name or the only other column."""
    label: str | None = None
    """That of the labels, or None for a usual name or the only other column."""
    split: str | None = None
    """That of the parts, ``train``, ``val`` or ``test``, or None if no column says which images are for what."""
    group: str | None = None
    """That of what stays on one side of a split, or None."""


@attrs.frozen
class Row:
    """One image of a list."""

    line: int
    image: str
    """Its path, as the list has it."""
    label: str
    part: str
    """``train``, ``val`` or ``test``, or empty if no column says so."""
    group: str


@attrs.define
class Problems:
    """What is wrong with lists, to be reported all at once."""

    places: dict[tuple[str, str, str], list[str]] = attrs.field(factory=dict)
    """The places in each list, by the list, what is wrong there, and what to do about it."""

    def add(self, path: str, what: str, place: str, help: str = "") -> None:
        self.places.setdefault((path, what, help), []).append(place)

    def check(self) -> None:
        """Raise `RecipeError` (E070) if anything is wrong."""
        if self.places:
            problems = (
                Diagnostic(
                    "E070", f"`{path}` has {plural(len(some), 'line', form=',')} {what}: {_shown(some)}", help=help
                )
                for (path, what, help), some in self.places.items()
            )
            raise RecipeError(*problems)


def _shown(some: Sequence[str]) -> str:
    more = f" and {len(some) - MOST_SHOWN:,} more" if len(some) > MOST_SHOWN else ""
    return ", ".join(some[:MOST_SHOWN]) + more


@attrs.frozen
class Table:
    """The images of a list."""

    path: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """Which columns were chosen, and which ones are not used."""


def read_table(path: str, columns: Columns, problems: Problems, most: int | None = None) -> Table:
    """Read a list of images, or its first ``most`` lines. Lines without a value are added to ``problems``.

    Raises `OSError` if it can't be read, and `RecipeError` (E070) if it is no list or lacks a column.
    """
    with opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        try:
            lines = _cells(text)
            header, places, notes = _places(path, next(lines, (0, [])), columns)
            rows = itertools.islice(itertools.chain(header, lines), most)
            return Table(path, tuple(_rows(path, rows, places, problems)), notes)
        except UnicodeDecodeError as error:
            byte = f"it has the byte 0x{error.object[error.start]:02x}"
            raise fail("E070", f"`{path}` is not UTF-8 text: {byte}", help="save it as UTF-8") from None
        except csv.Error as error:
            raise fail("E070", f"`{path}` is not a list of images: {error}") from None


def _cells(text: Iterable[str]) -> Iterator[Line]:
    """Yield the number and the cells of each line that is not blank."""
    lines = iter(text)
    head = list(itertools.islice(lines, LOOKED_AT))
    every = itertools.chain(head, lines)
    delimiter = _delimiter(head)
    if delimiter is None:  # the label is what follows the last blank
        for number, line in enumerate(every, 1):
            if line.strip():
                yield number, line.rsplit(None, 1)
        return
    reader = csv.reader(every, delimiter=delimiter, strict=True)
    for cells in reader:
        if any(map(str.strip, cells)):
            yield reader.line_num, [*map(str.strip, cells)]


def _delimiter(head: Sequence[str]) -> str | None:
    """Return what separates cells: the delimiter that splits most lines as it splits the first, or None for blanks."""
    best, most = None, 0
    for delimiter in DELIMITERS:
        counts = [len(cells) for cells in csv.reader(head, delimiter=delimiter) if any(map(str.strip, cells))]
        alike = counts.count(counts[0]) if counts and counts[0] > 1 else 0
        if alike > most and 2 * alike > len(counts):
            best, most = delimiter, alike
    return best


@attrs.frozen
class _Places:
    """Which cell of a line has what. None if no cell has it."""

    width: int
    """The number of cells of a line."""
    image: int
    label: int
    split: int | None = None
    group: int | None = None


def _places(path: str, first: Line, stated: Columns) -> tuple[list[Line], _Places, tuple[str, ...]]:
    """Return the first line if it has an image, which cells have what, and notes. Raises `RecipeError` (E070)."""
    names = first[1]
    if not names:
        raise fail("E070", f"`{path}` has no lines")
    endings = [at for at, cell in enumerate(names) if has_ending(cell)]
    if not endings:
        places, notes = _of_header(path, names, stated)
        return [], places, notes
    help = "add a first line with the names of the columns, such as `image,label`"
    for column in filter(None, attrs.astuple(stated)):
        raise fail(
            "E070", f"`{path}` has no column `{column}`: it begins with the image `{names[endings[0]]}`", help=help
        )
    if len(names) != 2 or len(endings) != 1:
        why = f"it begins with {plural(len(names), 'cell')}, {listing(names, 3)}"
        raise fail("E070", f"`{path}` does not say which column is what: {why}", help=help)
    return [first], _Places(2, endings[0], 1 - endings[0]), ()


def _of_header(path: str, names: Sequence[str], stated: Columns) -> tuple[_Places, tuple[str, ...]]:
    """Find the columns by their names. One that isn't stated has a usual name, or is the only other one of two."""
    have = f"it has {listing(filter(None, names))}"
    problems, found = list[Diagnostic](), dict[str, int]()
    for what, name in attrs.asdict(stated).items():
        if name is None:
            continue
        if names.count(name) == 1:
            found[what] = names.index(name)
        elif name in names:
            problems.append(Diagnostic("E070", f"`{path}` has several columns `{name}`"))
        else:
            problems.append(
                Diagnostic("E070", f"`{path}` has no column `{name}`", help=did_you_mean(name, names, have))
            )
    if problems:
        raise RecipeError(*problems)
    for what, usual in (("image", IMAGE), ("label", LABEL)):
        free = {_plain(name): at for at, name in reversed([*enumerate(names)]) if name and at not in found.values()}
        if what not in found and (known := next((name for name in usual if _plain(name) in free), None)):
            found[what] = free[_plain(known)]
    left = [at for at, name in enumerate(names) if name and at not in found.values()]
    missing = [what for what in ("image", "label") if what not in found]
    if len(missing) == len(left) == 1:
        found[missing[0]] = left.pop()
    elif missing:
        words = " and ".join(f"`{what}=`" for what in missing)
        raise fail(
            "E070",
            f"`{path}` has no column that is clearly that of the {missing[0]}s: {have}",
            help=f"name it with {words}",
        )
    notes = [f"`{path}`: images in the column `{names[found['image']]}`, labels in `{names[found['label']]}`"]
    if left:
        notes.append(f"`{path}`: columns that are not used: {listing(names[at] for at in left)}")
    return _Places(len(names), **found), tuple(notes)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _rows(path: str, lines: Iterable[Line], places: _Places, problems: Problems) -> Iterator[Row]:
    """Yield the images of all lines, and collect the lines that have none."""
    for number, cells in lines:
        if len(cells) != places.width:
            problems.add(path, f"with another number of cells than {places.width}", f"line {number} ({len(cells)})")
            continue
        image, label = cells[places.image], cells[places.label]
        split = "" if places.split is None else cells[places.split]
        group = "" if places.group is None else cells[places.group]
        part = part_named(split)
        if places.split is not None and not part:
            where = f"line {number} (`{split}`)" if split else f"line {number} (empty)"
            problems.add(path, "whose part is not `train`, `val` or `test`", where)
        if places.group is not None and not group:
            problems.add(path, "without a group", f"line {number}")
        if not label:
            problems.add(path, "without a label", f"line {number}")
        if image:
            yield Row(number, image, label, part, group)
        else:
            problems.add(path, "without an image", f"line {number}")
