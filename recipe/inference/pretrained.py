"""`recipe.pretrained`: use the pretrained model of a recipe as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import fx

from recipe.base.channels import to_channels
from recipe.base.errors import fail
from recipe.base.public import public
from recipe.base.source import Source
from recipe.base.wording import plural
from recipe.compiler.program import Program
from recipe.data.appearance import VIEWED
from recipe.data.decode import CROP
from recipe.data.images import IMAGENET_MEAN, IMAGENET_STD
from recipe.devices.choice import pick
from recipe.inference.datasets import open_sets, preprocessing_of
from recipe.inference.evaluating import Computing, check_part, evaluate_recipe, placed
from recipe.inference.evaluation import Evaluation
from recipe.inference.predicting import Predicting, check_counts
from recipe.inference.pretrained_outputs import Pretrained, pretrained_of
from recipe.inference.replaced import check_pretrained, check_replaced, inputs_of, untrained
from recipe.inference.trained import Trained
from recipe.language.recipe_input import override
from recipe.plan.bind import bind, resolve
from recipe.plan.plan import Plan
from recipe.plan.untrained import INPUTS
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import Preprocessing as Inputs
from recipe.plugins.field_contracts import WEIGHTS
from recipe.plugins.settings import INTERPOLATIONS, Training
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.provenance import Classes, Preprocessing


@attrs.frozen(eq=False, slots=False, repr=False)
class PretrainedModel(Predicting):
    """The pretrained model of a recipe: ready to be used, without training."""

    program: Program
    """The compiled recipe."""
    trained: Trained
    """The model with what its inputs and outputs mean."""
    notes: tuple[str, ...] = ()
    """What is not certain about its inputs and classes, and which words have no effect, a sentence each."""

    @property
    def model(self) -> fx.GraphModule:
        """The model, in evaluation mode."""
        return self.trained.model

    @property
    def classes(self) -> Classes:
        """The number of its outputs, and the names of their classes if they are known."""
        return self.trained.classes

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become its inputs."""
        return self.trained.preprocessing

    def evaluate(
        self, *statements: str, on: str = "val", batch: int | None = None, workers: int | None = None
    ) -> Evaluation:
        """Evaluate the model on the held-out images of its recipe.

        Args:
            statements: Statements that replace the data, the batch, or how images become inputs, such as ``'data folder
                "photos"'``.
            on: Which images of the dataset: ``val``, those that are held out, or ``test``.
            batch: How many images to compute at a time. Defaults to the recipe's batch or micro-batch, at most 256.
            workers: The number of processes that decode images; 0 uses this one. Defaults to at most 4.

        Returns:
            The figures, with reports of them. The classes of the images are matched with those of the weights by name.

        Raises:
            RecipeError: If the images can't be read (E070), or the model can't be evaluated on them (E129).
            ValueError: If ``on`` is neither of them.
        """
        check_counts(batch=(batch, 1), workers=(workers, 0))
        check_part(on)
        plan = self.program.plan
        new = bind([*plan.sources, *override(statements)], plan.vocabulary)
        check_replaced(plan, new, inputs_of(plan) | inputs_of(new))
        if new.training.channels != plan.training.channels:
            message = f"the model takes images of {plural(plan.training.channels, 'channel')}"
            raise fail("E129", message, help="load a model of its own for other channels")
        return evaluate_recipe(new, plan.model, self.trained.device, Computing(batch, workers), self.model, on)

    def __repr__(self) -> str:
        return f"<PretrainedModel {self.program.plan.base.statement()}: {plural(self.classes.count, 'class')}>"


@public()
def pretrained(
    recipe: str | Path | Source | Plan,
    *statements: str,
    device: str | torch.device | None = None,
    plugins: Vocabulary | Sequence[str | Path] = (),
) -> PretrainedModel:
    """Load the pretrained model of a recipe, to predict with it, to evaluate it, or to use it.

    Nothing is trained. Images are preprocessed as the recipe evaluates them; without a dataset, as the weights expect.

    Args:
        recipe: The text of a recipe, the path of a recipe, the name of a shipped example, or a `Plan`.
        statements: Statements that override the recipe.
        device: The device of the model, such as ``cpu`` or ``cuda:1``. Defaults to the first CUDA device, or the CPU.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.

    Returns:
        The model.

    Raises:
        RecipeError: If the recipe is invalid, its weights can't be loaded, they don't cover the whole model (E129), or
            the statements only change how it would be trained (E129).
        TypeError: If an argument has the wrong type.
    """
    chosen = pick(None if device is None else str(device))
    plan = resolve(recipe, *statements, plugins=plugins)
    if statements:
        check_pretrained(plan)
    if plan.images is not None:
        sets = open_sets(plan, training=False, external=True)
        found, inputs, notes = pretrained_of(plan, sets), preprocessing_of(plan, sets), list[str]()
    else:
        found, inputs, notes = without_dataset(plan)
    if found.outputs.note:
        notes.append(found.outputs.note)
    if not found.outputs.names:
        notes.append("the names of the classes are unknown: they are the numbers of the outputs, from 0")
    notes += untrained(plan)
    return PretrainedModel(found.program, placed(found, chosen, inputs), tuple(notes))


def without_dataset(plan: Plan) -> tuple[Pretrained, Preprocessing, list[str]]:
    """Compile the pretrained model of a recipe without a dataset, and return it with what `expected_inputs` does."""
    inputs, notes = expected_inputs(plan)
    found = pretrained_of(plan, None, inputs.size)
    now, notes = expected_inputs(plan)  # a repository states its inputs once it is downloaded
    if now.size != inputs.size:
        found = pretrained_of(plan, None, now.size)
    return found, now, notes


def expected_inputs(plan: Plan) -> tuple[Preprocessing, list[str]]:
    """Return how images become inputs for a recipe without a dataset: as it states, or as its weights expect.

    Also returns a note if either is unknown.
    """
    expected = call_hook(plan.base, "preprocessing", at=plan.base.place(WEIGHTS)) or Inputs()
    stated, notes = _without_suggestions(plan), list[str]()
    mean, std = stated.mean or expected.mean, stated.std or expected.std
    if expected.assumed and not (stated.mean and stated.std):
        notes.append("nothing states the inputs of the weights: they are taken to be those of the published weights")
    if mean is None or std is None:
        notes.append("the inputs that the weights expect are unknown: the mean and deviation are those of ImageNet")
    crop = stated.evaluation_crop or ("whole" if stated.evaluation_whole else None)
    if crop is None and expected.crop != expected.closest_crop:
        why = f"the weights expect a crop of {expected.crop}, which a recipe can't state"
        notes.append(f"{why}: the closest one is used")
    crop = crop or expected.closest_crop or CROP
    wanted = expected.evaluation_interpolation or expected.interpolation
    if wanted not in (None, *INTERPOLATIONS) and not stated.evaluation_interpolation:
        notes.append(f"the weights expect {wanted} interpolation, which a recipe can't state")
        wanted = None
    made = Preprocessing(
        stated.evaluation_size or expected.evaluation_size or expected.size or call_hook(plan.base, "image_size"),
        None if isinstance(crop, str) else float(crop),
        to_channels(mean or IMAGENET_MEAN, stated.channels),
        to_channels(std or IMAGENET_STD, stated.channels),
        stated.evaluation_interpolation or wanted or stated.interpolation,
        stated.evaluation_views or "single",
        orientation=VIEWED.orientation,
        background=VIEWED.background,
    )
    return made, notes


def _without_suggestions(plan: Plan) -> Training:
    """Return the settings of a plan without the inputs that are only suggested.

    These are not those of a repository whose own configuration became known later.
    """
    suggested, usual = dict[str, Any](), Training()
    for setting, uses in plan.makers.items():
        field = "crop" if setting == "evaluation_whole" else setting.removeprefix("evaluation_")
        origins = [use.origins[field].kind for use in uses if field in use.origins]
        if INPUTS.fullmatch(setting) and origins == ["suggestion"] * len(uses):
            suggested[setting] = getattr(usual, setting)
    return attrs.evolve(plan.training, **suggested)
