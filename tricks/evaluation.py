"""evaluation [size=N] [crop=PART|whole] [interpolation=NAME] [views=NAME]: how images are evaluated and predicted.

Evaluation at a larger size than training: Touvron et al. 2019, Fixing the train-test resolution discrepancy
(arXiv 1906.06423). Views: Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks,
section 4.1, which averages the softmax predictions for five crops and their reflections.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import INTERPOLATIONS, VIEWS, Training, Trick, choice, integer, number, trick


@trick(
    "evaluation",
    position=45,
    implied=True,
    known_as={
        "crop-pct": "crop=",
        "test-crop": "crop=",
        "center-crop": "crop=",
        "val-crop-size": "size=",
        "test-input-size": "size=",
        "test-time-augmentation": "views=flip",
        "tta": "views=flip",
    },
)
class Evaluation(Trick):
    """Evaluate images of this size, after this crop.

    That holds for the evaluations of a training, for `recipe evaluate` and `recipe predict`, and for exports. The trick
    is part of a recipe if the recipe states it, or if pretrained weights suggest its values. In `recipe evaluate`, it
    may be laid over a run.

    With `crop=95%`, the centered square of 95 % of the short side is resized to the size. With `crop=whole`, all of the
    image is, even if that changes its aspect ratio. Without it, `data folder` crops 224/256, and images that are held
    in memory are whole. Training images that no trick crops have the same crop.

    With views, the probabilities that the model gives to several views of an image are averaged. `flip` adds the mirror
    image. `five-crop` takes the crop at the four corners and the center of the image, and `ten-crop` adds their mirror
    images.
    """

    size: int | None = integer(
        None, "height and width, in pixels; if omitted, those of the training", minimum=8, maximum=1024
    )
    crop: float | str | None = number(
        None,
        "part of the short side, or `whole`; if omitted, the default of the dataset",
        above=0,
        maximum=1,
        words=("whole",),
    )
    interpolation: str | None = choice(None, "how images are resized; if omitted, as for training", of=INTERPOLATIONS)
    views: str | None = choice(None, "views whose predictions are averaged; if omitted, a single one", of=VIEWS)

    def configure(self, training: Training) -> Mapping[str, Any]:
        whole = self.crop == "whole"
        return {
            "evaluation_size": self.size,
            "evaluation_crop": None if whole else self.crop,
            "evaluation_whole": whole,
            "evaluation_interpolation": self.interpolation,
            "evaluation_views": self.views,
        }
