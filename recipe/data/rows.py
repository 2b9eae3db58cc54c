"""Find the files of the images in lists, and collect everything that is wrong with their rows. Needs no torch."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator

import attrs

from recipe.base.wording import listing, plural
from recipe.data.folders import has_ending
from recipe.data.parts import CALLED
from recipe.data.several_labels import several
from recipe.data.table import Problems, Row, Table

NUMBER = re.compile(r"[+-]?\d{1,15}(\.0+)?", re.ASCII)
"""A label that is a whole number. Some programs write `1.0` for 1."""

ADDRESS = re.compile(r"\w+://")
ONE_LABEL = "state one label for each image: training with several labels per image is not supported"


@attrs.frozen
class Listed:
    """An image of a list whose file was found."""

    path: str
    name: str
    """Its path relative to the folder of the list's images, with ``/`` between folders."""
    label: str
    group: str
    part: str
    list: str
    """The path of the list that has it."""
    line: int
    """The number of its line."""

    def place(self, list: str) -> str:
        """Return where it is, for a message about a list."""
        return f"line {self.line}" if self.list == list else f"line {self.line} of `{self.list}`"


@attrs.define
class Rows:
    """The images of one or more lists."""

    found: dict[str, Listed] = attrs.field(factory=dict)
    """The images by their real paths."""
    problems: Problems = attrs.field(factory=Problems)
    told: dict[str, list[str]] = attrs.field(factory=dict)
    """The places in the lists by what is unusual there."""
    endings: dict[str, dict[str, list[str]]] = attrs.field(factory=dict)
    """The names of the images in a folder, by these names without their endings."""
    folders: dict[str, str] = attrs.field(factory=dict)
    """The real paths of folders."""

    def add(self, table: Table, root: str, part: str) -> None:
        """Find the files of a list. ``part`` is that of the rows whose part no column states."""
        inside = os.path.join(os.path.normpath(root), "")
        for row in table.rows:
            if (path := self._file(table.path, row, root)) is None:
                continue
            name = path[len(inside) :] if path.startswith(inside) else os.path.relpath(path, root)
            name = name.replace(os.sep, "/")
            image = Listed(path, name, row.label, row.group, row.part or part, table.path, row.line)
            before = self.found.setdefault(self._real(path), image)
            if before is not image:
                self._compare(before, image)
            elif name.startswith("../"):
                self.told.setdefault("outside of the folder of the list's images", []).append(f"`{name}`")

    def of(self, part: str) -> list[Listed]:
        """Return the images of a part by their labels and names."""
        return sorted((one for one in self.found.values() if one.part == part), key=lambda one: (one.label, one.name))

    def finished(self) -> Iterator[str]:
        """Yield notes on what is unusual. Raises `RecipeError` (E070) with everything that is wrong."""
        self._check_labels()
        self.problems.check()
        for what, some in self.told.items():
            yield f"{plural(len(some), 'image', form=',')} {what}, such as {some[0]}"
        yield from self._doubtful()

    def _file(self, path: str, row: Row, root: str) -> str | None:
        """Return the path of the file of a row, whose ending may be missing there, or None without one."""
        file = os.path.normpath(os.path.join(root, row.image))
        place = f"line {row.line} (`{row.image}`)"
        if (found := _status(file)) is None and not has_ending(file):
            names = self.named(file)
            if len(names) > 1:
                several = f"line {row.line} ({listing(names)})"
                self.problems.add(path, "without the ending of the file, which fits several", several, "add the ending")
                return None
            if names:
                file = os.path.join(os.path.dirname(file), names[0])
                found = _status(file)
                self.told.setdefault("without an ending in the list", []).append(f"`{row.image}` for `{names[0]}`")
        if found is not None and stat.S_ISREG(found.st_mode):
            return file
        if ADDRESS.match(row.image):
            self.problems.add(path, "with a URL", place, "download the images, and list their paths")
        elif found is None:
            help = f"paths are relative to `{root}`; to name another folder, add `folder=`"
            self.problems.add(path, "whose file is missing", place, help)
        else:
            self.problems.add(path, "with something that is not a file", place)
        return None

    def _real(self, path: str) -> str:
        """Return the path of a file without links. Each folder is looked up once."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        return os.path.join(self.folders[folder], name)

    def named(self, path: str) -> list[str]:
        """Return the names of the images in a folder whose path without the ending is this one."""
        folder, stem = os.path.split(path)
        if folder not in self.endings:
            stems = self.endings.setdefault(folder, {})
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                if has_ending(name):
                    stems.setdefault(os.path.splitext(name)[0], []).append(name)
        return self.endings[folder].get(stem, [])

    def completed(self, path: str) -> str:
        """Return a path with the ending of its file if the list has none and one file fits, or else as it is."""
        names = self.named(path)
        return os.path.join(os.path.dirname(path), names[0]) if len(names) == 1 else path

    def _compare(self, before: Listed, again: Listed) -> None:
        """Note or refuse an image that is in the lists twice."""
        what, path = f"`{again.name}`", again.list
        if again.path != before.path:
            what += f", the same file as `{before.name}`,"
        if before.label != again.label:
            two = f"line {again.line} ({what} is `{again.label}`, but `{before.label}` in {before.place(path)})"
            self.problems.add(path, "with another label for the same image", two, ONE_LABEL)
        elif before.part != again.part:
            two = f"line {again.line} ({what} is one of the {CALLED[before.part]} in {before.place(path)})"
            help = "list each image for one part"
            self.problems.add(path, f"with one of the {CALLED[again.part]} that is also in another part", two, help)
        else:
            lines = f"lines {before.line} and {again.line} of `{path}`"
            self.told.setdefault("in several lines with the same label, used once", []).append(f"{what} in {lines}")

    def _check_labels(self) -> None:
        """Refuse cells with several labels, and different texts for one number."""
        first = dict[str, Listed]()
        for one in self.found.values():
            if one.label:
                first.setdefault(one.label, one)
        for label in sorted(several(first).certain, key=lambda label: first[label].line):
            one = first[label]
            self.problems.add(one.list, "with several labels", f"line {one.line} (`{label}`)", ONE_LABEL)
        values = dict[float, str]()
        for label in sorted(first) if all(map(NUMBER.fullmatch, first)) else ():
            if (other := values.setdefault(float(label), label)) != label:
                one = first[label]
                two = f"line {one.line} (`{label}`, but `{other}` in {first[other].place(one.list)})"
                help = "write each number in one way"
                self.problems.add(one.list, "with another text for the same number", two, help)

    def _doubtful(self) -> Iterator[str]:
        """Yield notes on labels that may be several, or that look the same."""
        labels, folded = {one.label for one in self.found.values()}, dict[str, str]()
        if possible := several(labels).possible:
            yield f"taken as one label each, though their words are labels, too: {listing(possible, 3)}"
        for label in sorted(labels):
            if (other := folded.setdefault(unicodedata.normalize("NFC", label).casefold(), label)) != label:
                yield f"labels that differ only in case or Unicode form: `{other}` and `{label}`"


def _status(path: str) -> os.stat_result | None:
    """Return the status of a file, or None if it does not exist."""
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def sorted_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels, each once, sorted: by their values if all are whole numbers.

    >>> sorted_classes(["10", "9", "10"]), sorted_classes(["10", "9", "ten"])
    (('9', '10'), ('10', '9', 'ten'))
    """
    each = {*labels}
    return tuple(sorted(each, key=float) if all(map(NUMBER.fullmatch, each)) else sorted(each))


def check_known(classes: Iterable[str], images: Iterable[Listed]) -> None:
    """Raise `RecipeError` (E070) for images whose class has no training images."""
    known, problems = {*classes}, Problems()
    for one in images:
        if one.label not in known:
            problems.add(one.list, "with a label that no training image has", f"line {one.line} (`{one.label}`)")
    problems.check()
