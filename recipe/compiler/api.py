"""`recipe.compile`: compile a recipe from Python."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from recipe.base.source import Source
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.language.overlays import module_source
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary


def compile(
    recipe: str | Path | Source | Plan,
    *statements: str,
    base: nn.Module | None = None,
    device: str = "cpu",
    vocabulary: Vocabulary | None = None,
) -> Program:
    """Compile a recipe, given as text, a path or a plan. ``statements`` override it.

    ``base`` is a model of your own to rewrite. It is copied, not changed, and keeps its weights unless the recipe
    itself has ``init``. Without a dataset, the stock model keeps its own image size and number of classes.
    ``device="meta"`` computes the graph and its costs without allocating weights. Raises `RecipeError`.

    >>> compile("base resnet50; tweak C D", device="meta").costs.macs
    4328824832
    """
    below = module_source() if base is not None else None
    return lower(resolve(recipe, *statements, vocabulary=vocabulary, below=below), base=base, device=device)
