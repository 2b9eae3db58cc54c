"""`recipe.diff`: compare two recipes from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from recipe.base import notebook
from recipe.base.printable import printable
from recipe.base.public import public
from recipe.base.source import Source
from recipe.compare import page, text
from recipe.compare.model import Difference
from recipe.compare.results import results_of
from recipe.compiler.cache import cached_summary
from recipe.compiler.summary import ProgramSummary
from recipe.language.recipe_input import LOCK, source_from
from recipe.plan.bind import resolve
from recipe.plan.changes import SIGNS
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.recipe_lock import plan_of

if TYPE_CHECKING:
    from recipe.compiler.program import Program


@attrs.frozen(slots=False)
class Diff(Difference):
    """The difference between two recipes, A and B, as data, as text, and as a page."""

    def __repr__(self) -> str:
        changes = [f"{SIGNS[word.change]} {word.word}" for word in self.words]
        said = ", ".join(changes) or ("another order" if self.order else "equivalent" if self.empty else "other graphs")
        return f"Diff({printable(self.name_a)} → {printable(self.name_b)}: {said})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the difference as text."""
        return notebook.preformatted(self.to_text())

    def to_text(self, width: int = 100, color: bool = False) -> str:
        """Return the difference as text for a terminal that is ``width`` columns wide, at least 40.

        Raises `ValueError` if that is not a whole number of at least 1.
        """
        if type(width) is not int or width < 1:
            raise ValueError(f"`width` must be a whole number of at least 1, not {width!r:.60}")
        return text.render(self, width, color)

    def to_html(self) -> str:
        """Return the difference as one self-contained page."""
        return page.render(self)


@public(Program="recipe.compiler.program")
def diff(
    a: str | Path | Source | Plan | Program,
    b: str | Path | Source | Plan | Program,
    *statements: str,
    plugins: Vocabulary | Sequence[str | Path] = (),
    names: tuple[str, str] = ("A", "B"),
) -> Diff:
    """Compare the plans and the compiled programs of two recipes.

    A recipe without a dataset is compiled for the stock model's own image size and number of classes.

    Args:
        a: The text of a recipe, the path of a recipe or a run folder, the name of a shipped example, a `Plan`, or a
            `Program`.
        b: The other recipe, in any of these forms.
        statements: Statements that override ``b`` only: ``diff(a, a, "drop tweak D")``. A program is compiled again.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one. A plan or a
            program keeps its own tricks.
        names: The names of the two recipes in texts and pages.

    Returns:
        The difference, which is false in a condition if the recipes are equivalent.

    Raises:
        RecipeError: If one of the recipes is invalid or can't be compiled.
        TypeError: If an argument has the wrong type.

    >>> difference = diff("base resnet50; tweak C", "tweak D; base resnet50; tweak C")
    >>> [word.statement for word in difference.words], difference.weights.loads_entirely
    (['tweak D'], True)
    """
    words = plugins if isinstance(plugins, Vocabulary) else Vocabulary.installed(plugins)
    difference = Diff.between(names[0], *_known(a, (), words), names[1], *_known(b, statements, words))
    folders = _run_folder(a), None if statements else _run_folder(b)
    if folders[0] is None or folders[1] is None:
        return difference
    return attrs.evolve(difference, results=results_of(folders[0], folders[1]))


def _run_folder(side: str | Path | Source | Plan | Program) -> Path | None:
    """Return the folder of a run if a side is one."""
    if isinstance(side, (str, Path)) and os.path.isfile(os.path.join(side, LOCK)):
        return Path(side)
    return None


def _known(
    side: str | Path | Source | Plan | Program, statements: tuple[str, ...], words: Vocabulary
) -> tuple[Plan, ProgramSummary]:
    if not isinstance(side, (str, Path, Source, Plan)):
        from recipe.compiler.api import compile
        from recipe.compiler.summarise import describe

        program = compile(side, *statements, device="meta") if statements else side.as_changed()
        return program.plan, describe(program)
    if isinstance(side, Plan):
        plan = resolve(side, *statements)
        return plan, cached_summary(plan)
    source = source_from(side, words.verbs())
    plan = (None if statements else plan_of(source, words)) or resolve(source, *statements, plugins=words)
    return plan, cached_summary(plan)
