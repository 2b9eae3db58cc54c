"""The results of two runs, side by side, and whether their difference is more than chance. Needs no torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Self

import attrs

from recipe.base.errors import RecipeError
from recipe.base.wording import format_duration, plural
from recipe.runs.held_out import HeldOut, read_held_out
from recipe.runs.provenance import read_provenance
from recipe.runs.reader import measured, summary_of

Z = 1.959963984540054
"""The quantile of the normal distribution for an interval of 95 %."""


@attrs.frozen
class RunResults:
    """The results of one run."""

    status: str
    """The ``status`` of its summary, or ``stopped``."""
    epochs: float
    """Epochs trained."""
    top1: float
    """The accuracy on the held-out images, from 0 to 1, of the kept weights, or of the last evaluation if stopped."""
    loss: float
    """The held-out loss, likewise."""
    seconds: float | None
    """The time that the training took, or None if it was stopped."""
    kept: float | None
    """The epoch whose weights were kept, if they are not the last ones."""
    curve: tuple[tuple[float, float, float], ...]
    """The epoch, the accuracy and the held-out loss of each evaluation."""


@attrs.frozen
class Paired:
    """Two runs on the same held-out images: how often each is right where the other is wrong."""

    images: int
    both: int
    """Images that both classify correctly."""
    only_a: int
    """Images that only A classifies correctly."""
    only_b: int
    """Images that only B classifies correctly."""
    difference: float
    """The accuracy of B minus that of A, from -1 to 1."""
    low: float
    """The lower end of its 95 % interval over images (Bonett and Price 2012)."""
    high: float
    """The upper end."""
    p: float
    """The p-value of the exact McNemar test: how likely chance alone makes such a difference, or a larger one."""

    @classmethod
    def of(cls, both: int, only_a: int, only_b: int, images: int) -> Self:
        """Return the comparison for these counts.

        >>> paired = Paired.of(both=80, only_a=2, only_b=10, images=100)
        >>> round(paired.difference, 2), round(paired.low, 3), round(paired.high, 3), round(paired.p, 4)
        (0.08, 0.009, 0.148, 0.0386)
        """
        from scipy.stats import binomtest

        odd = only_a + only_b
        p = float(binomtest(only_b, odd).pvalue) if odd else 1.0
        a, b = ((count + 1) / (images + 2) for count in (only_a, only_b))
        middle, half = b - a, Z * math.sqrt((a + b - (b - a) ** 2) / (images + 2))
        low, high = max(-1.0, middle - half), min(1.0, middle + half)
        return cls(images, both, only_a, only_b, (only_b - only_a) / images, low, high, p)

    def mirrored(self) -> Self:
        """Return the comparison from B to A."""
        return attrs.evolve(
            self,
            only_a=self.only_b,
            only_b=self.only_a,
            difference=-self.difference,
            low=-self.high,
            high=-self.low,
        )


@attrs.frozen
class Results:
    """The results of two runs."""

    a: RunResults
    b: RunResults
    paired: Paired | None
    unpaired: str = ""
    """Why the images can't be compared one by one, or empty."""

    def mirrored(self) -> Results:
        """Return the results from B to A."""
        paired = self.paired.mirrored() if self.paired else None
        return Results(self.b, self.a, paired, self.unpaired)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(attrs.asdict(self)))
        return values

    @property
    def lines(self) -> list[str]:
        """The results in sentences."""
        rows = [("A", self.a), ("B", self.b)]
        return [*(f"{side}: {_said(run)}" for side, run in rows), self._comparison]

    @property
    def _comparison(self) -> str:
        if self.paired is None:
            return f"the images are not compared one by one: {self.unpaired}"
        pair = self.paired
        return (
            f"of {plural(pair.images, 'held-out image')}, "
            f"only A is right on {pair.only_a}, and only B on {pair.only_b}: "
            f"{100 * pair.difference:+.2f} points, from {100 * pair.low:+.2f} to {100 * pair.high:+.2f} "
            f"(95 % interval over images), p = {pair.p:.2g} (exact McNemar test); other seeds may differ more"
        )


def results_of(a: Path, b: Path) -> Results | None:
    """Return the results of the runs in two folders, or None if one has not been evaluated yet."""
    sides = _run_results(a), _run_results(b)
    if sides[0] is None or sides[1] is None:
        return None
    try:
        paired = _paired(a, b)
    except RecipeError as error:
        return Results(sides[0], sides[1], None, error.diagnostics[0].message)
    if isinstance(paired, str):
        return Results(sides[0], sides[1], None, paired)
    return Results(sides[0], sides[1], paired)


def _run_results(folder: Path) -> RunResults | None:
    lines, summary = measured(folder), summary_of(folder)
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    if not evaluations and not summary:
        return None
    last = summary or evaluations[-1]
    return RunResults(
        status=summary.get("status", "stopped"),
        epochs=float(summary["epochs"]) if summary else evaluations[-1]["epoch"],
        top1=last["top1"],
        loss=last["loss"],
        seconds=summary.get("seconds"),
        kept=summary["best"]["epoch"] if summary.get("kept") == "best" else None,
        curve=tuple((line["epoch"], line["top1"], line["loss"]) for line in evaluations),
    )


def _paired(a: Path, b: Path) -> Paired | str:
    """Compare two runs image by image. Return why not if they were not evaluated on the same images."""
    made = read_provenance(a), read_provenance(b)
    if made[0] is None or made[1] is None:
        return "an earlier release made one of the runs, without recording its images"
    a_on, b_on = (one.data.held_out for one in (made[0], made[1]))
    if (a_on.images, a_on.contents) != (b_on.images, b_on.contents):
        return "the runs were evaluated on different images"
    if a_on.labels != b_on.labels:
        return "the images of the two runs have different labels"
    right_a, right_b = (_right(read_held_out(folder)) for folder in (a, b))
    common = right_a.keys() & right_b.keys()
    if not common:
        return "no image could be read in both runs"
    both = sum(right_a[index] and right_b[index] for index in common)
    only_a, only_b = (sum(right[index] for index in common) - both for right in (right_a, right_b))
    return Paired.of(both, only_a, only_b, len(common))


def _right(held_out: HeldOut) -> dict[int, bool]:
    """Return whether each image is classified correctly, by its index."""
    right = held_out.logits.argmax(1) == held_out.label
    return dict(zip(held_out.index.tolist(), right.tolist(), strict=True))


def _said(run: RunResults) -> str:
    time = "" if run.seconds is None else f", {format_duration(run.seconds)}"
    best = f" in epoch {run.kept:.4g}, the best," if run.kept is not None else ""
    length = plural(run.epochs, "epoch", form=".4g")
    return f"top-1 {run.top1:.2%}, loss {run.loss:.4f}{best} after {length}{time} ({run.status})"
