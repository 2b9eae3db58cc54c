"""What the Python API and the commands take for a recipe, turned into sources; needs no torch."""

from __future__ import annotations

from pathlib import Path

from recipe.source import Source
from recipe.syntax import read


def source_from(recipe: str | Path | Source) -> Source:
    """A source from the text of a recipe or the path of one: a `Path`, or a string that ends in ``.recipe``."""
    if isinstance(recipe, Source):
        return recipe
    if not isinstance(recipe, (str, Path)):  # callers without a type checker
        raise TypeError(f"a recipe is its text, a path or a Plan, not a {type(recipe).__name__}")
    if isinstance(recipe, Path) or (recipe.strip().endswith(".recipe") and "\n" not in recipe and ";" not in recipe):
        return read(Path(recipe))
    return Source("<text>", recipe, Path.cwd())


def override(statements: tuple[str, ...]) -> list[Source]:
    """The source of the statements that are laid over a recipe; none where there are no statements."""
    return [Source("<statements>", "\n".join(statements), Path.cwd(), "override")] if statements else []
