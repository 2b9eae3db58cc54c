"""`recipe.lock`: the recipe of a run, with every value explicit."""

from __future__ import annotations

from pathlib import Path

from recipe.base.errors import RecipeError
from recipe.language.recipe_input import read
from recipe.plan.bind import bind
from recipe.plan.changes import SIGNS, compare_words
from recipe.plan.plan import Plan


def locked(folder: Path) -> str | None:
    """Return the plan digest in a folder's `recipe.lock`, or None if it can't be read."""
    try:
        first = (folder / "recipe.lock").read_text("utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError):
        return None
    return first.removeprefix("# plan ")


def changed_words(folder: Path, plan: Plan) -> str:
    """List how a plan differs from the one in a folder's `recipe.lock`, one line each. Empty if that can't be read."""
    try:
        before = bind([read(folder / "recipe.lock")], plan.vocabulary, data=True)
    except RecipeError:
        return ""
    lines = [(SIGNS[word.change], *line) for word in compare_words(before, plan) for line in word.lines()]
    return "".join(f"\n  {sign} {change}{f'   {origin}' if origin else ''}" for sign, change, origin in lines)


def lock_text(plan: Plan) -> str:
    """Return the text of `recipe.lock`: a recipe with every value explicit that binds to the same plan."""
    return f"# plan {plan.digest}\n{plan.canonical()}"
