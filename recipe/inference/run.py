"""A run, opened: its folder, its results, and its trained model, ready to be used."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
from torch import fx

from recipe.base.wording import plural
from recipe.compiler.program import Program
from recipe.inference.evaluating import Computing, check_part, evaluate_trained
from recipe.inference.evaluation import Evaluation
from recipe.inference.predicting import Predicting, check_counts
from recipe.inference.run_html import html_of
from recipe.inference.trained import Trained
from recipe.runs.provenance import Classes, Preprocessing
from recipe.runs.reader import measured


@attrs.frozen(eq=False, slots=False, repr=False)
class Run(Predicting):
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

    def evaluate(
        self, *statements: str, on: str = "val", batch: int | None = None, workers: int | None = None
    ) -> Evaluation:
        """Evaluate the model on the run's held-out images, or on others. It computes in fp32, like exports of it.

        Args:
            statements: Statements that replace the data, the batch or the evaluation, such as ``'data folder
                "photos"'``. The classes of the images are matched with those of the run by name.
            on: Which images of the dataset: ``val``, those that are held out, or ``test``.
            batch: How many images to compute at a time. Defaults to the training's batch or micro-batch, at most 256.
            workers: The number of processes that decode images; 0 uses this one. Defaults to at most 4.

        Returns:
            The figures, with reports of them.

        Raises:
            RecipeError: If the images can't be read (E070), or the model can't be evaluated on them (E129).
            ValueError: If ``on`` is neither of them.
        """
        check_counts(batch=(batch, 1), workers=(workers, 0))
        check_part(on)
        if other := [one for one in statements if not isinstance(one, str)]:
            raise TypeError(f"`statements` must be text, not {other[0]!r:.60}")
        plan = self.program.plan
        return evaluate_trained(self.folder, plan, self.trained, self.note, statements, Computing(batch, workers), on)

    def _repr_html_(self) -> str:
        """Return what notebooks show: the results as a table, and the curves."""
        return html_of(self.summary, self.metrics, self.program, self.classes.count, self.folder)

    def __repr__(self) -> str:
        top1 = f", top-1 {self.summary['top1']:.2%}" if "top1" in self.summary else ""
        classes = plural(self.classes.count, "class")
        return f"<Run {self.folder}: {self.program.plan.model}, {classes}, {self.status}{top1}>"
