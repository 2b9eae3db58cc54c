"""What the Python API takes for a recipe, with the statements that are laid over it, resolved to a plan."""

from __future__ import annotations

import os
from pathlib import Path

from recipe.base.source import Source
from recipe.language.recipe_input import override, source_from
from recipe.plan.bind import bind
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary

LOCK = "recipe.lock"
"""The file in the folder of a run that holds its recipe."""


def resolve(
    recipe: str | Path | Source | Plan,
    *statements: str,
    vocabulary: Vocabulary | None = None,
    data: bool = False,
    below: Source | None = None,
) -> Plan:
    """The plan of a recipe (text, a path, the folder of a run, a source, or a plan) under some statements.

    A plan is taken as it is where nothing is to be changed, and is otherwise bound again with ``vocabulary``, else with
    its own. ``data`` adds the embedded images where the recipe names none; those of a plan stay. ``below`` is laid
    under everything else, but under a plan, which has it already. Raises `RecipeError`, and `TypeError` for anything
    else.
    """
    if isinstance(recipe, Plan):
        data = data or recipe.images is not None
        if not statements and data == (recipe.images is not None):
            return recipe
        return bind([*recipe.sources, *override(statements)], vocabulary or recipe.vocabulary, data=data)
    sources = [below] if below else []
    return bind([*sources, _source(recipe), *override(statements)], vocabulary, data=data)


def _source(recipe: str | Path | Source) -> Source:
    if isinstance(recipe, (str, Path)) and os.path.isfile(os.path.join(recipe, LOCK)):  # takes any text for a path
        recipe = Path(recipe) / LOCK
    return source_from(recipe)
