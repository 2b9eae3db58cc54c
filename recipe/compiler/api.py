"""`recipe.compile`: a recipe to a program, from Python."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from recipe.base.source import Source
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.language.recipe_input import override, source_from
from recipe.plan.bind import bind
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
    if isinstance(recipe, Plan):
        if statements:
            data = recipe.images is not None  # which may be implied
            recipe = bind([*recipe.sources, *override(statements)], vocabulary or recipe.vocabulary, data=data)
        return lower(recipe, base=base, device=device)
    sources = [source_from(recipe)]
    if base is not None:
        sources.insert(0, Source("<module>", "base module", Path.cwd(), "default"))
    sources += override(statements)
    return lower(bind(sources, vocabulary), base=base, device=device)
