"""What a model predicts for images, as data, and what a notebook shows of it. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, SupportsIndex, overload

import attrs

from recipe.base import notebook
from recipe.base.printable import printable
from recipe.base.wording import plural

RANKS = ("class", "2nd class", "3rd class")
"""The classes of each image that a notebook shows."""
MOST_ROWS, MOST_SKIPPED = 100, 10
"""The most images, and skipped images, that a notebook shows."""

MOST_COUNTED = 5
"""The most classes that the text of predictions counts."""


@attrs.frozen
class Prediction:
    """The classes of an image, the most likely first."""

    image: str
    """The path of the image, or ``image 0`` and so on for images in memory."""
    classes: tuple[str, ...] = ()
    """The names of the classes, or their indices as text if they have no names."""
    probabilities: tuple[float, ...] = ()
    """The probability of each of these classes, by the softmax of the logits."""
    indices: tuple[int, ...] = ()
    """The index of each of these classes among the outputs of the model."""
    error: str = ""
    """Why the image can't be read, or empty."""

    @property
    def label(self) -> str:
        """The most likely class. Raises `ValueError` if the image was skipped, since it can't be read."""
        self._check_read()
        return self.classes[0]

    @property
    def probability(self) -> float:
        """The probability of the most likely class. Raises `ValueError` if the image was skipped."""
        self._check_read()
        return self.probabilities[0]

    def _check_read(self) -> None:
        if self.error:
            raise ValueError(f"a skipped image has no classes, only an `error`: {self.error}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: `image`, and either `error`, or `classes` and `probabilities`."""
        if self.error:
            return {"image": self.image, "error": self.error}
        return {"image": self.image, "classes": [*self.classes], "probabilities": [*self.probabilities]}


class Predictions(list[Prediction]):
    """A list of predictions. A notebook shows it as a table."""

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice, /) -> Predictions: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Prediction | Predictions:
        found = super().__getitem__(index)
        return Predictions(found) if isinstance(found, list) else found

    def __repr__(self) -> str:
        counts = Counter(one.label for one in self if not one.error).most_common()
        most = [f"{count:,} {printable(name)}" for name, count in counts[:MOST_COUNTED]]
        if rest := counts[MOST_COUNTED:]:
            most.append(f"{sum(count for _, count in rest):,} of {plural(len(rest), 'other class')}")
        if skipped := sum(bool(one.error) for one in self):
            most.append(f"{skipped:,} skipped")
        return f"Predictions({': '.join(filter(None, (plural(len(self), 'image', form=','), ', '.join(most))))})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: a row for each image with its most likely classes, and the skipped images."""
        read = [one for one in self if not one.error]
        ranks = RANKS[: max((len(one.classes) for one in read), default=0)]
        heads = ["image", *(head for rank in ranks for head in (rank, "probability"))]
        rows = [[one.image, *_ranked(one, len(ranks))] for one in read[:MOST_ROWS]]
        table = notebook.table([heads, *rows], right=range(2, len(heads), 2)) if rows else ""
        return table + notebook.paragraphs(self._left_out(len(read) - len(rows)))

    def _left_out(self, rows: int) -> Iterator[str]:
        """Yield what the table doesn't have."""
        if not self:
            yield "no images"
        if rows:
            yield f"and {plural(rows, 'more image', form=',')}"
        skipped = [one.error for one in self if one.error]
        if skipped:
            yield f"{plural(len(skipped), 'image', form=',')} skipped:"
        yield from islice(skipped, MOST_SKIPPED)
        if len(skipped) > MOST_SKIPPED:
            yield f"and {len(skipped) - MOST_SKIPPED:,} more"


def _ranked(one: Prediction, ranks: int) -> list[str]:
    """Return the most likely classes of an image with their probabilities, as cells."""
    shown = [*zip(one.classes, one.probabilities, strict=True)][:ranks]
    cells = [cell for name, value in shown for cell in (name, f"{value:.2%}")]
    return cells + [""] * (2 * ranks - len(cells))
