"""The report of an evaluation for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from recipe.base.printable import printable
from recipe.base.wording import columns, plural, with_near_paths
from recipe.inference.figures import ClassResult, Figures

MOST_CLASSES = 30
"""Up to this many classes are all listed; of more, those with the lowest F1."""

MOST_LINES = 10
"""How many pairs of classes and how many errors are listed."""


def text(figures: Figures) -> str:
    """Return a report for a terminal, which ends in a line break."""
    return "\n\n".join(_parts(figures)) + "\n"


def percent(value: float | None) -> str:
    """Return a fraction as a percentage, or a dash if it is undefined."""
    return "–" if value is None else f"{value:.2%}"


def listed(figures: Figures) -> tuple[list[ClassResult], str]:
    """Return the classes to list, those that neither occur nor are predicted left out, and a note on the others."""
    known = [one for one in figures.classes if one.f1 is not None]
    left = len(figures.classes) - len(known)
    notes = [f"{plural(left, 'class')} without images and predictions"] if left else []
    if len(known) > MOST_CLASSES:
        notes.append(f"{plural(len(known) - MOST_CLASSES, 'class')} with a higher F1")
        known = sorted(known, key=lambda one: one.f1 or 0.0)[:MOST_CLASSES]
    return known, f"not listed: {' and '.join(notes)}" if notes else ""


def _parts(figures: Figures) -> Iterator[str]:
    yield f"{printable(figures.name)} on {printable(with_near_paths(figures.data))}"
    if figures.warning:
        yield f"warning: {figures.warning}"
    top5 = [("top-5", percent(figures.top5))] if figures.top5 is not None else []
    skipped = f", {len(figures.skipped)} more can't be read" if figures.skipped else ""
    rows = [
        ("images", f"{len(figures.labels)}{skipped}"),
        ("top-1", percent(figures.top1)),
        *top5,
        ("balanced accuracy", percent(figures.balanced)),
        ("loss", f"{figures.loss:.4f}"),
        ("calibration error", f"{percent(figures.ece)} (ECE)"),
    ]
    yield columns(rows)
    if notes := (*figures.notes, *figures.data_notes):
        yield "\n".join(f"note: {printable(with_near_paths(note))}" for note in notes)
    known, rest = listed(figures)
    classes = [
        (one.name, *map(percent, (one.precision, one.recall, one.f1)), str(one.support), one.mistaken_for or "")
        for one in known
    ]
    heads = ("class", "precision", "recall", "F1", "images", "most often taken for")
    table = columns([heads, *classes], right={1, 2, 3, 4})
    yield table + (f"\n{rest}" if rest else "")
    if confused := figures.confused(MOST_LINES):
        pairs = [(one.label, one.predicted, str(one.images)) for one in confused]
        yield columns([("most confused", "predicted as", "images"), *pairs], right={2})
        errors = [
            (
                with_near_paths(one.image),
                one.label,
                percent(one.probability_of_label),
                one.predicted,
                percent(one.probability),
            )
            for one in figures.worst(MOST_LINES)
        ]
        named = ("worst errors", "class", "probability", "predicted as", "probability")  # by the first probability
        yield columns([named, *errors], right={2, 4})
