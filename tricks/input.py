"""input [mean=M M M] [std=S S S] [interpolation=NAME]: how images become inputs of the model.

Pixels, from 0 to 1, are normalized as (pixel − mean) / std, per channel. Pretrained weights suggest the values that
they were trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import INTERPOLATIONS, Training, Trick, choice, numbers, trick

Channels = tuple[float, float, float]


@trick("input", position=42, implied=True)
class Input(Trick):
    """Normalize images with this mean and deviation, and resize them with this interpolation.

    That holds for training and evaluation. The trick is part of a recipe if the recipe states it, or if pretrained
    weights suggest its values. Without it, images have the mean and deviation of their dataset.

    Interpolation is antialiased, except where a random crop of images that are held in memory is scaled up to their own
    size on the training device.
    """

    mean: Channels | None = numbers(
        None,
        "mean of the red, green and blue channel, for pixels from 0 to 1; if omitted, that of the dataset",
        count=3,
        minimum=0,
        maximum=1,
    )
    std: Channels | None = numbers(
        None,
        "standard deviation of the three channels; if omitted, that of the dataset",
        count=3,
        minimum=1e-4,
        maximum=1,
    )
    interpolation: str = choice("bilinear", "how images are resized", of=INTERPOLATIONS)

    def configure(self, training: Training) -> Mapping[str, Any]:
        stated = {name: value for name, value in (("mean", self.mean), ("std", self.std)) if value is not None}
        return {**stated, "interpolation": self.interpolation}
