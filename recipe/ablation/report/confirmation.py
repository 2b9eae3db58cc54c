"""What a confirmation of a screening measured: the best combination under new seeds. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.report.findings import Best
from recipe.ablation.rows.combinations import Choice
from recipe.ablation.statistics.analysis import Analysis
from recipe.ablation.statistics.results import Cell, Contrast, Estimate, Line


@attrs.frozen
class Confirmation:
    """Combinations of a screening that are trained again, under seeds that it doesn't have."""

    on: tuple[Choice, ...]
    """Which tricks are on in each row."""
    lines: tuple[Line, ...]
    """The recipe with none of the tricks, that with the best combination, and perhaps others."""
    predicted: tuple[float, ...]
    """The top-1 that the screening predicts for each."""
    best: Best
    """What is to be confirmed."""
    screened: tuple[Line, ...]
    """The rows of the screening, if they show the noise of these runs too."""
    correct: Mapping[str, npt.NDArray[np.bool_]] = attrs.field(factory=dict, repr=False, eq=False)
    """Which held-out images each run classified correctly, by the name of its cell, where that is known."""

    @cached_property
    def gain(self) -> Estimate | None:
        """The measured difference between the best combination and none of the tricks."""
        before = len(self.screened[0].cells) if self.screened else 0
        after = len(self.lines[0].cells)
        rows = [
            *(attrs.evolve(line, cells=(*_left(before), *line.cells)) for line in self.lines),
            *(attrs.evolve(line, cells=(*line.cells, *_left(after))) for line in self.screened),
        ]
        weights = (-1.0, 1.0, *(0.0 for _ in rows[2:]))
        return Analysis(tuple(rows), (Contrast("", weights),), self.correct).estimates[0]

    @property
    def is_confirmed(self) -> bool | None:
        """Whether the measured gain differs from the predicted one by no more than their intervals allow.

        None if one of them is unknown.
        """
        measured, predicted = self.gain, self.best.gain
        if measured is None or measured.single is None or predicted.single is None:
            return None
        return abs(measured.mean - predicted.mean) <= math.hypot(measured.single.half, predicted.single.half)

    @cached_property
    def rank_correlation(self) -> float | None:
        """Spearman's rank correlation of the predicted and the measured top-1, if at least three are known and not all
        of them are the same."""
        pairs = [(top1, line.mean) for top1, line in zip(self.predicted, self.lines, strict=True) if line.results]
        if len(pairs) < 3 or any(len({*values}) == 1 for values in zip(*pairs, strict=True)):
            return None
        from scipy.stats import spearmanr

        return float(spearmanr(*zip(*pairs, strict=True)).statistic)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values. Top-1 is from 0 to 1."""
        rows = [
            {
                "label": line.label,
                "statements": list(line.statements),
                "predicted": top1,
                "top1_mean": line.mean,
                "top1_deviation": line.deviation,
                "cells": [attrs.asdict(cell) for cell in line.cells],
            }
            for line, top1 in zip(self.lines, self.predicted, strict=True)
        ]
        return {
            "rows": rows,
            "gain": self.gain and attrs.asdict(self.gain),
            "is_confirmed": self.is_confirmed,
            "rank_correlation": self.rank_correlation,
        }


def _left(count: int) -> Sequence[Cell]:
    return [Cell("", 0, "left")] * count
