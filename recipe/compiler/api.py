"""`recipe.compile`: a recipe to a program, from Python."""

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
    """Compile a recipe: text, a path, or a plan; ``statements`` are laid over it.

    ``base`` rewrites a model of your own (it is copied, not changed); its weights stay as they are unless the recipe
    itself says ``init``. A recipe that names no data compiles to the stock model, for its own image size and classes.
    ``device="meta"`` gives graph and costs without allocating a weight. Raises `RecipeError`.

    >>> compile("base resnet50; tweak C D", device="meta").costs.macs
    4328824832
    """
    below = module_source() if base is not None else None
    return lower(resolve(recipe, *statements, vocabulary=vocabulary, below=below), base=base, device=device)
