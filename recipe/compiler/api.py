"""`recipe.compile`: compile a recipe from Python."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from recipe.base.public import public
from recipe.base.source import Source
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.language.overlays import module_source
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary


@public()
def compile(
    recipe: str | Path | Source | Plan,
    *statements: str,
    base: nn.Module | None = None,
    device: str | torch.device = "cpu",
    vocabulary: Vocabulary | None = None,
) -> Program:
    """Compile a recipe into a `Program`.

    Without a dataset, the stock model keeps its own image size and number of classes.

    Args:
        recipe: The text of a recipe, the path of a recipe or a run folder, or a `Plan`. A string that ends in
            ``.recipe`` is a path.
        statements: Statements that override the recipe.
        base: A model of your own to rewrite instead of a stock model. It is copied, not changed, and keeps its weights
            unless the recipe itself has ``init``.
        device: The device of the model's weights, such as ``cuda:0``. On ``meta``, the graph and its costs are
            computed, and no weights are created.
        vocabulary: The known tricks. Defaults to those of installed packages.

    Returns:
        The compiled recipe. Its weights are created when you first access ``model``.

    Raises:
        RecipeError: If the recipe is invalid, its model can't be built or rewritten, or the device is unavailable.
        TypeError: If an argument has the wrong type.

    >>> compile("base resnet50; tweak C D", device="meta").costs.macs
    4328824832
    """
    below = module_source() if base is not None else None
    return lower(resolve(recipe, *statements, vocabulary=vocabulary, below=below), base=base, device=str(device))
