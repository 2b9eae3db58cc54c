"""How good the best row is on images that had no part in its choice, as data and in words. Needs no torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.report.words import ends, signed
from recipe.ablation.statistics.analysis import Analysis, halves_over_images
from recipe.ablation.statistics.results import CONFIDENCE, Contrast, Estimate, Line
from recipe.base.wording import plural

Correct = Mapping[str, npt.NDArray[np.bool_]]
"""Which images each run classified correctly, by the name of its cell."""


@attrs.frozen
class Chosen:
    """The results of the best row on other images than those that it was chosen by."""

    row: int
    """Its index."""
    label: str
    top1: float
    """The mean over the finished runs, from 0 to 1."""
    deviation: float | None
    """The sample standard deviation over them."""
    images: float | None
    """How far the top-1 may be from that on all images of the same kind: half of a normal interval. None if all images
    have the same result, which says nothing about it."""
    seeds: int
    """The number of finished runs."""
    reference: int | None = None
    """The index of the row that it is compared with."""
    against: str = ""
    """The label of that row."""
    difference: Estimate | None = None
    """The difference from that row, or None if it isn't known."""


@attrs.frozen
class Report:
    """The report on the best row: on which images, how many, and with which results."""

    part: str
    """``held-out``, for some that the table leaves out, or ``test``."""
    share: float | None = None
    """The share of the held-out images that is left out."""
    chosen_by: int | None = None
    """The number of images that the row was chosen by."""
    reported_on: int | None = None
    """The number of images of the report."""
    looks: int | None = None
    """How many reports on the test images there have been in the folder."""
    chosen: Chosen | None = None
    """None while results are missing."""
    subject: str = "row"
    """What was chosen: a ``row`` of the table, or the ``combination`` that a screening predicts to be the best."""

    @property
    def sentence(self) -> str:
        """The result in a sentence, or nothing."""
        if (chosen := self.chosen) is None:
            return ""
        where = f"the {plural(self.reported_on or 0, f'{self.part} image')}{' kept back' * (self.part != 'test')}"
        said = f"On {where}, the best {self.subject}, `{chosen.label}`, has top-1 {100 * chosen.top1:.2f}"
        if chosen.difference is not None:
            said += f", {signed(chosen.difference.mean)} points from `{chosen.against}`"
        return f"{said}."

    def notes(self, lines: Sequence[Line]) -> list[str]:
        """Return sentences about the images and the uncertainty. ``lines`` are the rows of which one was chosen."""
        if (chosen := self.chosen) is None:
            return []
        of = len(lines[chosen.row].needed)
        finished = plural(of, "seed") if chosen.seeds == of else f"{chosen.seeds} of {plural(of, 'seed')}"
        kind = "test images" if self.part == "test" else "images kept back"
        mean = "a mean over" if chosen.seeds > 1 else "that of"
        said = f"The top-1 of the best {self.subject} on the {kind} is {mean} {finished}"
        if chosen.deviation is not None:
            said += f", with a sample standard deviation of {100 * chosen.deviation:.2f} points"
        return [f"{said}.", *self._about_difference(chosen), *self._about_images(chosen)]

    def _about_difference(self, chosen: Chosen) -> list[str]:
        found = chosen.difference
        if found is None:
            return []
        if found.interval is None:
            return [f"Nothing is known about the noise of its difference from `{chosen.against}`."]
        said = f"The {CONFIDENCE:.0%} interval of its difference from `{chosen.against}` is {ends(found.interval)}"
        return [f"{said}, which is within noise." if found.within_noise else f"{said}."]

    def _about_images(self, chosen: Chosen) -> list[str]:
        if chosen.images is None:
            return []
        said = (
            f"On all images of the same kind, the top-1 may be up to {100 * chosen.images:.2f} points higher or lower"
        )
        if chosen.difference is not None and chosen.difference.images is not None:
            said += f", and the difference {100 * chosen.difference.images:.2f}"
        return [f"{said} ({CONFIDENCE:.0%})."]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        chosen, data = self.chosen, attrs.asdict(self, recurse=False)
        if chosen is not None:
            difference = chosen.difference and attrs.asdict(
                chosen.difference, filter=lambda field, _: field.name not in ("single", "own")
            )
            data["chosen"] = {**attrs.asdict(chosen), "difference": difference}
            del data["chosen"]["against"]
        return data


def best_row(lines: Sequence[Line]) -> int | None:
    """Return the index of the row with the highest mean top-1, the first of several, or None without results."""
    means = {at: line.mean for at, line in enumerate(lines)}
    known = {at: mean for at, mean in means.items() if mean is not None}
    return max(known, key=known.__getitem__) if known else None


def is_complete(lines: Sequence[Line]) -> bool:
    """Whether no run is missing."""
    return not any(cell.status == "missing" for line in lines for cell in line.cells)


def results_on(lines: Sequence[Line], correct: Correct, row: int, reference: int | None) -> Chosen:
    """Return the results of a row, and its difference from another one, on other images than those of the table.

    Args:
        lines: The rows of the table.
        correct: Which of the other images each run classified correctly. Runs without them are left out.
        row: The index of the row. At least one of its runs is in ``correct``.
        reference: The index of the row to compare with, if any.
    """
    others = tuple(with_results(line, correct) for line in lines)
    line = others[row]
    by_image = np.mean([correct[cell.name] for cell in line.cells if cell.name in correct], 0)
    half = float(halves_over_images(by_image)) if np.ptp(by_image) else None
    chosen = Chosen(row, line.label, statistics.fmean(line.results), line.deviation, half, len(line.results))
    if reference is None:
        return chosen
    unit = np.eye(len(others))
    contrast = Contrast(line.label, tuple((unit[row] - unit[reference]).tolist()))
    difference = Analysis(others, (contrast,), correct).estimates[0]
    return attrs.evolve(chosen, reference=reference, against=others[reference].label, difference=difference)


def with_results(line: Line, correct: Correct) -> Line:
    """Return a row with the top-1 of its runs on some images."""
    top1 = {name: float(each.mean()) for name, each in correct.items()}
    return attrs.evolve(line, cells=tuple(attrs.evolve(cell, top1=top1.get(cell.name)) for cell in line.cells))
