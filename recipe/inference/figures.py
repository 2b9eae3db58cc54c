"""How well a model classifies a set of labeled images: the figures, as data."""

from __future__ import annotations

import json
import math
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from recipe.base.printable import printable
from recipe.base.wording import plural
from recipe.data.images import Images

SCHEMA_VERSION = 1

BINS = 15
"""The number of bins of confidence, of equal width, in which calibration is measured (Guo et al. 2017)."""

WORST = 24
"""How many errors are reported by default."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@attrs.frozen
class ClassResult:
    """The results of one class. What is undefined is None."""

    name: str
    """The name of the class."""
    precision: float | None
    """The part of the images predicted to be of the class that are. None if it is never predicted."""
    recall: float | None
    """The part of the images of the class that are predicted to be. None if no image is of the class."""
    f1: float | None
    """The harmonic mean of both, 0 if both are 0. None if the class neither occurs nor is predicted."""
    support: int
    """The number of images of the class."""
    mistaken_for: str | None = None
    """The class that most of its other images are predicted to be, the first of several. None if there are none."""


@attrs.frozen
class Bin:
    """The images whose confidence, the probability of the predicted class, is above ``low`` and at most ``high``."""

    low: float
    """The lower end of the bin."""
    high: float
    """The upper end of the bin."""
    images: int
    """The number of images."""
    confidence: float | None
    """The mean confidence, or None without images."""
    accuracy: float | None
    """The part of the images that are classified correctly, or None without images."""


@attrs.frozen
class Mistake:
    """An image that is classified incorrectly."""

    image: str
    """The path of the image, or its index."""
    index: int
    """Its index in the dataset."""
    label: str
    """The class that it is labeled with."""
    predicted: str
    """The predicted class."""
    probability: float
    """The probability of the predicted class."""
    probability_of_label: float
    """The probability of the class that it is labeled with."""


@attrs.frozen
class Confusion:
    """How many images of one class are predicted to be of another."""

    label: str
    """The class of the images."""
    predicted: str
    """The predicted class."""
    images: int
    """The number of images."""


@attrs.frozen(eq=False, slots=False, repr=False)
class Figures:
    """The evaluation of a model on labeled images.

    The prediction for an image is the class of its largest logit, and the first one of equal logits.
    """

    name: str
    """What was evaluated, such as a run folder."""
    data: str
    """The dataset, as its statement."""
    names: tuple[str, ...]
    """The name of the class of each output."""
    images: tuple[str, ...]
    """The path of each image, or its index."""
    indices: Integers
    """The index of each image in its dataset: int64 (N,)."""
    labels: Integers
    """The class of each image, as the index of an output: int64 (N,)."""
    logits: npt.NDArray[np.float32]
    """The logits of each image: float32 (N, K)."""
    skipped: tuple[str, ...] = ()
    """Why images that can't be read were left out."""
    notes: tuple[str, ...] = ()
    """What should be known about the figures."""
    data_notes: tuple[str, ...] = ()
    """What was passed over in the dataset, and what is unusual."""
    source: Images | None = None
    """The images, for pictures of them in a report."""
    seen: npt.NDArray[np.bool_] | None = None
    """Whether the run was trained on each image: bool (N,). None if it was trained on none of them."""

    @cached_property
    def probabilities(self) -> Floats:
        """The softmax of the logits: float64 (N, K)."""
        logits = self.logits.astype(np.float64)
        raised = np.exp(logits - logits.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)  # type: ignore[no-any-return]

    @cached_property
    def predicted(self) -> Integers:
        """The predicted class of each image: int64 (N,)."""
        predicted: Integers = self.logits.argmax(1)
        return predicted

    @property
    def top1(self) -> float:
        """The part of the images whose class is predicted."""
        return float((self.predicted == self.labels).mean())

    @property
    def trained_on(self) -> int:
        """The number of these images that the run was trained on."""
        return 0 if self.seen is None else int(self.seen.sum())

    @property
    def top1_unseen(self) -> float | None:
        """The part of the images that the run was not trained on whose class is predicted, or None without any."""
        right = (self.predicted == self.labels)[slice(None) if self.seen is None else ~self.seen]
        return float(right.mean()) if len(right) else None

    @property
    def warning(self) -> str:
        """What the figures are worth if the run was trained on some of the images, or nothing."""
        if not self.trained_on:
            return ""
        every = plural(len(self.labels), "image")
        if self.top1_unseen is None:
            return f"the run was trained on all of these {every}, so the figures say nothing about new images"
        others = len(self.labels) - self.trained_on
        told = f"top-1 of the other{f' {others}' * (others > 1)} is {self.top1_unseen:.2%}"
        return f"the run was trained on {self.trained_on} of these {every}, so the figures are too high; {told}"

    @property
    def top5(self) -> float | None:
        """The part of the images whose class is among the five most likely, or None with at most five classes.

        Of equal logits, those of the first classes come first.
        """
        if self.logits.shape[1] <= 5:
            return None
        own = self.logits[np.arange(len(self.labels)), self.labels][:, None]
        before = np.arange(self.logits.shape[1]) < self.labels[:, None]
        rank = ((self.logits > own) | ((self.logits == own) & before)).sum(1)
        return float((rank < 5).mean())

    @property
    def loss(self) -> float:
        """The mean cross-entropy, in nats."""
        return float(self._losses.mean())

    @property
    def balanced(self) -> float:
        """The balanced accuracy: the mean recall over the classes that occur."""
        return float(np.mean([one.recall for one in self.classes if one.recall is not None]))

    @cached_property
    def classes(self) -> tuple[ClassResult, ...]:
        """The results of each class, in the order of the outputs."""
        columns = precision_recall_fscore_support(
            self.labels, self.predicted, labels=np.arange(len(self.names)), zero_division=np.nan
        )
        rows = zip(self.names, *map(np.ndarray.tolist, columns), strict=True)
        mistaken: dict[str, str] = {}
        for one in self.confused():
            mistaken.setdefault(one.label, one.predicted)
        return tuple(
            ClassResult(name, _defined(precision), _defined(recall), _defined(f1), int(support), mistaken.get(name))
            for name, precision, recall, f1, support in rows
        )

    @cached_property
    def confusion(self) -> Integers:
        """The number of images of each class (row) that are predicted to be of each class (column): int64 (K, K)."""
        return confusion_matrix(self.labels, self.predicted, labels=np.arange(len(self.names)))  # type: ignore[no-any-return]

    def confused(self, most: int | None = None) -> list[Confusion]:
        """Return the pairs of classes that are confused, the most frequent first. ``most`` limits their number."""
        _check_count(most)
        wrong = self.confusion * (1 - np.eye(len(self.names), dtype=np.int64))
        pairs = sorted(zip(*map(np.ndarray.tolist, np.nonzero(wrong)), strict=True), key=lambda at: (-wrong[at], at))
        return [Confusion(self.names[row], self.names[column], int(wrong[row, column])) for row, column in pairs[:most]]

    @cached_property
    def calibration(self) -> tuple[Bin, ...]:
        """The confidence and the accuracy in bins of confidence."""
        confidence, right = self.probabilities.max(1), self.predicted == self.labels
        edges = np.linspace(0, 1, BINS + 1)
        at = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, BINS - 1)
        bins = []
        for number in range(BINS):
            own = at == number
            means = (float(values[own].mean()) if own.any() else None for values in (confidence, right))
            bins.append(Bin(float(edges[number]), float(edges[number + 1]), int(own.sum()), *means))
        return tuple(bins)

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean difference of confidence and accuracy, over the images' bins."""
        gaps = (one.images * abs(one.confidence - one.accuracy) for one in self.calibration if one.images)  # type: ignore[operator]
        return float(sum(gaps) / len(self.labels))

    def worst(self, most: int = WORST) -> list[Mistake]:
        """Return the images that are classified incorrectly, those with the highest loss first, at most ``most``."""
        _check_count(most)
        wrong = np.flatnonzero(self.predicted != self.labels)
        order = wrong[np.argsort(-self._losses[wrong], kind="stable")][:most]
        return [self._mistake(int(row)) for row in order]

    @cached_property
    def _losses(self) -> Floats:
        logits = self.logits.astype(np.float64)
        shifted = logits - logits.max(1, keepdims=True)
        own = shifted[np.arange(len(self.labels)), self.labels]
        return np.log(np.exp(shifted).sum(1)) - own  # type: ignore[no-any-return]

    def _mistake(self, row: int) -> Mistake:
        label, predicted = int(self.labels[row]), int(self.predicted[row])
        shares = self.probabilities[row]
        return Mistake(
            image=self.images[row],
            index=int(self.indices[row]),
            label=self.names[label],
            predicted=self.names[predicted],
            probability=float(shares[predicted]),
            probability_of_label=float(shares[label]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values. docs/reference/json.md describes each field."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "data": self.data,
            "images": len(self.labels),
            "trained_on": self.trained_on,
            "top1": self.top1,
            "top1_unseen": self.top1_unseen,
            "top5": self.top5,
            "balanced": self.balanced,
            "loss": self.loss,
            "ece": self.ece,
            "classes": [attrs.asdict(one) for one in self.classes],
            "confusion": [attrs.asdict(one) for one in (*self._right(), *self.confused())],
            "calibration": [attrs.asdict(one) for one in self.calibration],
            "worst": [attrs.asdict(one) for one in self.worst()],
            "skipped": [*self.skipped],
            "notes": [*self.notes, *self.data_notes],
        }

    def _right(self) -> list[Confusion]:
        counts = zip(self.names, self.confusion.diagonal().tolist(), strict=True)
        return [Confusion(name, name, count) for name, count in counts if count]

    def to_json(self) -> str:
        """Return the figures as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def __repr__(self) -> str:
        found = f"top-1 {self.top1:.2%} on {plural(len(self.labels), 'image')}"
        return f"<{type(self).__name__} of {printable(self.name)}: {found}>"


def _check_count(most: object) -> None:
    if most is not None and (type(most) is not int or most < 0):
        raise ValueError(f"`most` must be a whole number of at least 0, not {most!r:.60}")


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
