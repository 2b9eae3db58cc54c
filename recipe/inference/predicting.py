"""Predictions of a model for images that a caller passes, which a run and a pretrained model share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from recipe.base.errors import RecipeError
from recipe.base.public import undisturbed
from recipe.inference.given import Given, Pictures, pictures
from recipe.inference.predictions import Prediction, Predictions
from recipe.inference.trained import Trained


class Predicting:
    """What a model of a run and a pretrained model do with images."""

    if TYPE_CHECKING:

        @property
        def trained(self) -> Trained:
            """The model with what its inputs and outputs mean."""

    def predict(
        self,
        images: Given | Iterable[Given],
        *,
        top: int | None = None,
        batch: int | None = None,
        workers: int | None = None,
        skip: bool = False,
    ) -> Predictions:
        """Predict the classes of images.

        Images are preprocessed as in an evaluation. The model computes in fp32, like exports of it.

        Args:
            images: One image or several: paths, Pillow images, arrays (H, W, 3) or (H, W), or tensors (3, H, W), both
                of uint8. An array or tensor with a fourth dimension in front is a batch. A path may be that of a
                folder, which has the images that `recipe predict` finds there.
            top: The number of classes to return for each image, the most likely first. Defaults to all.
            batch: How many images to compute at a time. Defaults to the training's batch or micro-batch, at most 256.
            workers: The number of processes that decode images; 0 uses this one. Defaults to at most 4, depending on
                the cores and the number of images.
            skip: Whether images that can't be read get a prediction with an `error`, instead of raising it. If none of
                the paths exists, that is always an error, because they are mistyped.

        Returns:
            A list with a prediction for each image, in order. A notebook shows it as a table.

        Raises:
            RecipeError: If an image can't be read (E070), no path exists or a folder has no images (E128), or there is
                too little memory for the batch (E115).
            TypeError, ValueError: If something is not an image, or an argument has a wrong type or value.
        """
        return Predictions(self.predicting(images, top=top, batch=batch, workers=workers, skip=skip))

    def predicting(
        self,
        images: Given | Iterable[Given],
        *,
        top: int | None = None,
        batch: int | None = None,
        workers: int | None = None,
        skip: bool = False,
    ) -> Iterator[Prediction]:
        """Yield predictions as they are made. The arguments are those of `predict`."""
        check_counts(top=(top, 1), batch=(batch, 1), workers=(workers, 0))
        return _predictions(self.trained, pictures(images, self.trained.preprocessing), top, batch, workers, skip)

    def preprocess(self, images: Given | Iterable[Given]) -> Tensor:
        """Return the inputs of the model for images, as in `predict`: float32 (N, 3, size, size), on the CPU.

        With `views=five-crop` or `ten-crop`, each image has five inputs, one after the other. Mirrored views are not
        included.

        Raises `RecipeError` if an image can't be read (E070) or no path exists (E128), and `TypeError` or `ValueError`
        if something isn't an image.
        """
        given = pictures(images, self.trained.preprocessing)
        size, count = given.size, len(given.items)
        with undisturbed():
            pixels = given.fetch(torch.arange(count).numpy(), None) if count else torch.empty(0, 3, size, size)
            return self.trained.inputs(pixels).cpu()


def check_counts(**arguments: tuple[Any, int]) -> None:
    """Raise `ValueError` for an argument that is neither None nor a whole number of at least its minimum."""
    for name, (value, least) in arguments.items():
        if value is not None and (type(value) is not int or value < least):
            raise ValueError(f"`{name}` must be a whole number of at least {least}, not {value!r:.60}")


def _skippable(error: RecipeError) -> RecipeError:
    """Return an error with what to do about an image that can't be read, if it says nothing else."""
    help = "with `skip=True`, such an image gets a prediction with an `error`, and the others their classes"
    return RecipeError(
        *(each if each.help or each.code != "E070" else attrs.evolve(each, help=help) for each in error.diagnostics)
    )


def _predictions(
    trained: Trained, images: Pictures, top: int | None, batch: int | None, workers: int | None, skip: bool
) -> Iterator[Prediction]:
    batches = trained.batches(images, batch, workers, skip)
    while True:
        with trained.evaluating():  # only while this computes: a caller may do anything between two predictions
            try:
                part = next(batches, None)
            except RecipeError as error:
                raise _skippable(error) from None
            if part is None:
                return
            probabilities = trained.logits(part.images).softmax(1) if part.counted else torch.empty(0, 0)
        order = probabilities.argsort(dim=1, descending=True, stable=True)[:, :top]
        rows = dict(zip(part.indices.tolist(), zip(probabilities, order, strict=True), strict=True))
        skipped = dict(part.skipped)
        for index in sorted({*rows, *skipped}):
            if index in skipped:
                yield Prediction(images.names[index], error=skipped[index])
                continue
            row, best = rows[index]
            classes = tuple(map(trained.name_of, best.tolist()))
            yield Prediction(images.names[index], classes, tuple(row[best].tolist()), tuple(best.tolist()))
