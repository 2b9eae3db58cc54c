"""What a model predicts for an image, as data."""

from __future__ import annotations

from typing import Any

import attrs


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
        """The most likely class. Raises `ValueError` if the image can't be read."""
        if self.error:
            raise ValueError(self.error)
        return self.classes[0]

    @property
    def probability(self) -> float:
        """The probability of the most likely class. Raises `ValueError` if the image can't be read."""
        if self.error:
            raise ValueError(self.error)
        return self.probabilities[0]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: `image`, and either `error`, or `classes` and `probabilities`."""
        if self.error:
            return {"image": self.image, "error": self.error}
        return {"image": self.image, "classes": [*self.classes], "probabilities": [*self.probabilities]}
