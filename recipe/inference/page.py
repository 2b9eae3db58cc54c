"""The report of an evaluation as one self-contained page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from recipe.base.errors import RecipeError
from recipe.base.notebook import data_url
from recipe.base.pages import page_of
from recipe.inference.figures import BINS, Bin, Figures
from recipe.inference.report import listed, percent

MOST_CELLS = 40
"""Up to this many classes, the page shows the confusion matrix."""

MOST_PAIRS = 20
"""How many pairs of classes are listed."""


def page(figures: Figures) -> str:
    """Return the page as HTML. It loads no external files."""
    known, rest = listed(figures)
    worst = figures.worst()
    return page_of(
        "recipe.inference",
        figures=figures,
        percent=percent,
        classes=known,
        rest=rest,
        matrix=_matrix(figures) if len(figures.names) <= MOST_CELLS else None,
        pairs=figures.confused(MOST_PAIRS),
        bars=[*_bars(figures.calibration)],
        worst=[*zip(worst, _pictures(figures, [one.index for one in worst]), strict=True)],
    )


def _matrix(figures: Figures) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix, each cell with its part of the row's images."""
    rows = []
    for name, counts in zip(figures.names, figures.confusion.tolist(), strict=True):
        total = max(1, sum(counts))
        rows.append({"name": name, "cells": [(count, count / total) for count in counts]})
    return rows


def _bars(bins: tuple[Bin, ...]) -> Iterator[dict[str, float]]:
    """Yield the bars of the reliability diagram, in percent of its sides, with the part of the images in each bin."""
    total = sum(one.images for one in bins)
    for one in bins:
        if one.accuracy is not None and one.confidence is not None:
            yield {
                "left": 100 * one.low,
                "width": 100 / BINS,
                "accuracy": 100 * one.accuracy,
                "confidence": 100 * one.confidence,
                "images": one.images,
                "share": one.images / total,
            }


def _pictures(figures: Figures, indices: list[int]) -> Iterator[str]:
    """Yield each image, as the model sees it, as a data URL, or an empty string if it can't be read any more."""
    for index in indices:
        url = ""
        if figures.source is not None:
            try:
                pixels = figures.source.fetch(np.array([index]), None)[0]
            except (RecipeError, OSError):  # it has been removed since
                yield url
                continue
            packed = io.BytesIO()
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(packed, "PNG")
            url = data_url(packed.getvalue())
        yield url
