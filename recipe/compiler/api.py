"""`recipe.compile`: compile a recipe from Python."""

from __future__ import annotations

from collections.abc import Sequence
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
    recipe: str | Path | Source | Plan | Program,
    *statements: str,
    base: nn.Module | None = None,
    size: int | None = None,
    device: str | torch.device | None = None,
    plugins: Vocabulary | Sequence[str | Path] = (),
) -> Program:
    """Compile a recipe into a `Program`.

    Without a dataset, the stock model keeps its own image size and number of classes.

    Args:
        recipe: The text of a recipe, the path of a recipe or a run folder, the name of a shipped example, a `Plan`, or
            a `Program`. A program is compiled again, with its own ``base``, ``size`` and ``device`` unless you pass
            others.
        statements: Statements that override the recipe.
        base: A model of your own to rewrite instead of a stock model. It is copied, not changed, and keeps its weights
            unless the recipe itself has ``init``.
        size: The height and width of the images, in pixels, for a recipe without a dataset. Defaults to that of the
            stock model, or 224 for a model of your own.
        device: The device of the model's weights, such as ``cuda:0``. On ``meta``, the graph and its costs are
            computed, and no weights are created. Defaults to the CPU.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.

    Returns:
        The compiled recipe. Its weights are created when you first access ``model``.

    Raises:
        RecipeError: If the recipe is invalid, its model can't be built or rewritten, or the device is unavailable.
        TypeError, ValueError: If an argument has the wrong type, or can't be used with the recipe.

    >>> compile("base resnet50; tweak C D", device="meta").costs.macs
    4328824832
    """
    if size is not None and size < 1:
        raise ValueError(f"`size` must be at least 1, not {size}")
    program = recipe if isinstance(recipe, Program) else None
    if program is not None and base is None:
        base = program.unchanged_base()
    below = module_source() if base is not None else None
    plan = resolve(recipe.plan if isinstance(recipe, Program) else recipe, *statements, plugins=plugins, below=below)
    if plan.images is not None:
        if size is not None:
            said = f"{plan.images.word} size={size}"
            raise ValueError(f"`size` has no effect on a recipe with a dataset, which sets it: write `{said}`")
    elif program is not None:
        size = size or program.size
    if device is None:
        device = "cpu" if program is None else program.device
    return lower(plan, base=base, size=size, device=str(device))
