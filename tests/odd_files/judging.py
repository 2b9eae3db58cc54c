"""Judge what becomes of odd files in a folder of images: each is right, named, or ignored with a note."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import attrs
import numpy as np

from recipe.base.errors import RecipeError
from recipe.data.appearance import VIEWED
from recipe.data.decode import decode, whole
from recipe.data.folders import find_images
from recipe.data.headers import header_of
from tests.data.odd_images import SIDE, printed, started
from tests.odd_files.making import EITHER, IGNORED, NAMED, RIGHT, STORE, Made, Pixels
from tests.odd_files.reading import read

ALIKE, UNNOTICED, WRONG = "as another reader", "unnoticed", "wrong"
"""What else may become of a file. Damaged ones may have the pixels that another reader gets, or others.

Only PNG has checksums, so damage to other formats can't always be noticed.
"""

COLUMNS = (RIGHT, NAMED, IGNORED, ALIKE, UNNOTICED, WRONG)

CLASSES = ("day", "night")


@attrs.frozen
class Judged:
    """What became of all files."""

    counts: Counter[tuple[str, str]]
    """By kind and column."""
    wrong: tuple[str, ...]
    """What is wrong, a line each."""
    compared: int
    """How many files were compared with another reader."""

    def table(self) -> str:
        """Return the counts by kind, as Markdown."""
        kinds = list(dict.fromkeys(kind for kind, _ in self.counts))
        rows = [("kind", *COLUMNS), ("---",) * (1 + len(COLUMNS))]
        rows += [(kind, *(str(self.counts[kind, column] or "") for column in COLUMNS)) for kind in kinds]
        rows.append(("all", *(str(sum(self.counts[kind, column] for kind in kinds)) for column in COLUMNS)))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def placed(root: Path, files: Iterable[Made]) -> dict[str, Made]:
    """Write files into the folders of two classes. Returns them by their paths."""
    where = dict[str, Made]()
    for number, one in enumerate(files):
        path = root / CLASSES[number % 2] / one.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if one.place is not None:
            one.place(path)
        else:
            path.write_bytes(one.content or b"")
        where[str(path)] = one
    return where


def judged(root: Path, files: Iterable[Made]) -> Judged:
    """Write files into a folder of images, find the images, and decode each."""
    where = placed(root, files)
    counts, wrong, compared = Counter[tuple[str, str]](), list[str](), 0
    found = find_images(root, CLASSES, "join")
    left = {path: one for path, one in where.items() if path not in {*map(str, found.files)}}
    for path, one in left.items():
        counts[one.kind, IGNORED if one.expected == IGNORED else WRONG] += 1
        wrong += [] if one.expected == IGNORED else [f"{path!r} is not found"]
    stores = sum((root / name / STORE).exists() for name in CLASSES)
    ignored = sum(int(count) for note in found.notes for count in re.findall(r"(?:^ignored in .*?`: |; )(\d+) ", note))
    if ignored != len(left) + stores:
        wrong.append(f"{len(left) + stores} files are ignored, but the notes count {ignored}: {found.notes}")
    with tempfile.TemporaryFile() as output:
        for path in found.files:
            one = where[str(path)]
            with printed(output):
                others = read(path, one.orientation) if one.expected in (RIGHT, EITHER) else []
                others += read(path, 1)[:1] if one.expected == EITHER else []  # its orientation may be damaged
            compared += bool(others)
            with printed(output) as said, started() as programs:
                became, why = _judge(one, path, others)
            if said() or programs:
                became, why = WRONG, f"printed {said()[:200]!r}, started {programs}"
            counts[one.kind, became] += 1
            wrong += [f"{one.kind}: {str(path)!r}: {why}"] if became == WRONG else []
    return Judged(counts, tuple(wrong), compared)


def _judge(one: Made, path: Path, others: list[Pixels]) -> tuple[str, str]:
    if one.expected == IGNORED:
        return WRONG, "it is taken for an image"
    refused = _refusal(path)
    try:
        pixels = whole(path, str(path))
        decode(path, SIDE, None)
    except RecipeError as error:
        (said,) = error.diagnostics
        if said.code != "E070" or f"`{path}`" not in said.message:
            return WRONG, f"it is not named: {said.code} {said.message}"
        return (WRONG, said.message) if one.expected == RIGHT else (NAMED, "")
    except BaseException as error:
        return WRONG, f"{type(error).__name__}: {error}"
    if isinstance(refused, str):
        return WRONG, f"its header is refused, but it is decoded: {refused}"
    if refused != pixels.shape[:2]:
        return WRONG, f"its header states {refused}, but its pixels are {pixels.shape[:2]}"
    if one.expected == NAMED:
        return WRONG, "it is decoded"
    far = None if one.truth is None else _off(pixels, one.truth)
    apart = [_off(pixels, other) for other in others]
    if one.expected == EITHER:
        if far is not None and far <= one.near:
            return RIGHT, ""
        if min(apart, default=256.0) <= one.near:
            return ALIKE, ""
        # OpenCV doesn't scale the values of Netpbm.
        unnoticed = path.suffix != ".png" and (not apart or path.suffix == ".ppm")
        return (UNNOTICED, "") if unnoticed else (WRONG, f"its pixels are off by {far} and {apart}")
    if far is not None and far > one.near:
        return WRONG, f"its pixels are off by {far}"
    if one.comparable and apart and max(apart) > one.near:
        return WRONG, f"its pixels differ from those of another reader by {apart}"
    return (RIGHT, "") if far is not None or apart else (WRONG, "nothing is known to compare it with")


def _refusal(path: Path) -> str | tuple[int, int]:
    """Return why the header of a file is refused, or the height and width that it states."""
    try:
        header = header_of(path, VIEWED)
    except RecipeError as error:
        return error.diagnostics[0].message
    return header.height, header.width


def _off(pixels: Pixels, expected: Pixels) -> float:
    """Return the largest difference, in the left square where only that is known."""
    if expected.shape == (SIDE, SIDE, 3):
        pixels = pixels[:SIDE, :SIDE]
    return float(np.abs(pixels.astype(float) - expected).max()) if pixels.shape == expected.shape else 256.0
