"""A run, opened: its folder, its results, and its trained model, ready to be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, fx

from recipe.base.public import undisturbed
from recipe.compiler.program import Program
from recipe.inference.evaluating import Computing, evaluate_trained
from recipe.inference.evaluation import Evaluation
from recipe.inference.given import Given, Pictures, pictures
from recipe.inference.predictions import Prediction
from recipe.inference.trained import Trained
from recipe.runs.provenance import Classes, Preprocessing
from recipe.runs.reader import measured


@attrs.frozen(eq=False, slots=False, repr=False)
class Run:
    """A run: its folder, its summary, and the trained model as evaluated."""

    folder: Path
    """The run folder."""
    summary: dict[str, Any]
    """The contents of `summary.json`, such as ``top1`` (from 0 to 1), ``loss`` and ``seconds``.

    For a run that was stopped: its ``status``, ``digest`` and ``steps``, and the results of its last evaluation.
    """
    model: fx.GraphModule
    """The trained model as evaluated, in evaluation mode."""
    program: Program
    """The compiled recipe."""
    classes: Classes
    """The classes that it was trained on."""
    preprocessing: Preprocessing
    """How images become its inputs."""
    note: str = ""
    """What may make the model another one than was trained, or empty."""

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """All lines of `metrics.jsonl`, each as a dictionary."""
        return measured(self.folder)

    @property
    def status(self) -> str:
        """``finished``, or how the run ended otherwise, such as ``stopped``."""
        return str(self.summary["status"])

    @property
    def digest(self) -> str:
        """The digest of its plan, as its recipe.lock states it."""
        return str(self.summary["digest"])

    @cached_property
    def trained(self) -> Trained:
        """The model with what its inputs and outputs mean."""
        return Trained(self.model, self.program.training, self.classes, self.preprocessing)

    def predict(
        self,
        images: Given | Iterable[Given],
        *,
        top: int | None = None,
        batch: int | None = None,
        workers: int | None = None,
        skip: bool = False,
    ) -> list[Prediction]:
        """Predict the classes of images.

        The preprocessing is that of the run's evaluation. The model computes in fp32, like exports of it.

        Args:
            images: One image or several: paths, Pillow images, arrays (H, W, 3) or (H, W), or tensors (3, H, W), both
                of uint8. An array or tensor with a fourth dimension in front is a batch.
            top: The number of classes to return for each image, the most likely first. Defaults to all.
            batch: How many images to compute at a time. Defaults to the run's batch or micro-batch, at most 256.
            workers: The number of processes that decode images; 0 uses this one. Defaults to at most 4, depending on
                the cores and the number of images.
            skip: Whether images that can't be read get a prediction with an `error`, instead of raising it.

        Returns:
            A prediction for each image, in order.

        Raises:
            RecipeError: If an image can't be read (E070), or there is too little memory for the batch (E115).
            TypeError, ValueError: If something is not an image, or an argument has a wrong type or value.
        """
        return [*self.predicting(images, top=top, batch=batch, workers=workers, skip=skip)]

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
        _check(top=(top, 1), batch=(batch, 1), workers=(workers, 0))
        return _predictions(self.trained, pictures(images, self.preprocessing), top, batch, workers, skip)

    def evaluate(self, *statements: str, batch: int | None = None, workers: int | None = None) -> Evaluation:
        """Evaluate the model on the run's held-out images, or on others. It computes in fp32, like exports of it.

        Args:
            statements: Statements that replace the data, the batch or the evaluation, such as ``'data folder
                "photos"'``. The classes of the images are matched with those of the run by name.
            batch: How many images to compute at a time. Defaults to the training's batch or micro-batch, at most 256.
            workers: The number of processes that decode images; 0 uses this one. Defaults to at most 4.

        Returns:
            The figures, with reports of them.

        Raises:
            RecipeError: If the images can't be read (E070), or the model can't be evaluated on them (E129).
        """
        _check(batch=(batch, 1), workers=(workers, 0))
        if other := [one for one in statements if not isinstance(one, str)]:
            raise TypeError(f"`statements` must be text, not {other[0]!r:.60}")
        plan = self.program.plan
        return evaluate_trained(self.folder, plan, self.trained, self.note, statements, Computing(batch, workers))

    def preprocess(self, images: Given | Iterable[Given]) -> Tensor:
        """Return the inputs of the model for images, as in `predict`: float32 (N, 3, size, size), on the CPU.

        With `views=five-crop` or `ten-crop`, each image has five inputs, one after the other. Mirrored views are not
        included.

        Raises `RecipeError` (E070) if an image can't be read, and `TypeError` or `ValueError` if it isn't one.
        """
        given = pictures(images, self.preprocessing)
        size, count = given.size, len(given.items)
        with undisturbed():
            pixels = given.fetch(torch.arange(count).numpy(), None) if count else torch.empty(0, 3, size, size)
            return self.trained.inputs(pixels).cpu()

    def __repr__(self) -> str:
        top1 = f", top-1 {self.summary['top1']:.2%}" if "top1" in self.summary else ""
        return f"<Run {self.folder}: {self.program.plan.model}, {self.classes.count} classes, {self.status}{top1}>"


def _check(**arguments: tuple[Any, int]) -> None:
    """Raise `ValueError` for an argument that is neither None nor a whole number of at least its minimum."""
    for name, (value, least) in arguments.items():
        if value is not None and (type(value) is not int or value < least):
            raise ValueError(f"`{name}` must be a whole number of at least {least}, not {value!r:.60}")


def _predictions(
    trained: Trained, images: Pictures, top: int | None, batch: int | None, workers: int | None, skip: bool
) -> Iterator[Prediction]:
    batches = trained.batches(images, batch, workers, skip)
    while True:
        with trained.evaluating():  # only while this computes: a caller may do anything between two predictions
            part = next(batches, None)
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
