"""What is checked before any training: the rows of an ablation, their teachers and their weights."""

from __future__ import annotations

from collections.abc import Sequence

from recipe.ablation.rows.variants import Row, of_row
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.plan.plan import Plan
from recipe.plugins.field_contracts import ModelFields
from recipe.training.given_teachers import compiled
from recipe.training.teachers import named_teachers, teachers_of


def own_model(plan: Plan | None) -> RecipeError:
    """Return the error for an ablation of a model of one's own."""
    message = "an ablation can't train a model of your own: its runs are other processes, which get only the recipe"
    help = "name the model in a plugin, by a trick with the hook `build`: docs/guides/python.md shows one"
    return fail("E102", message, plan.base.span if plan else None, help=help)


def compile_rows(rows: Sequence[Row]) -> list[Program]:
    """Compile every row on the meta device and check its teachers. Raises `RecipeError` with the errors of all rows."""
    programs, errors = [], list[Diagnostic]()
    for row in rows:
        try:
            programs.append(lower(row.plan, device="meta"))
            teachers_of(row.plan, programs[-1].classes)
        except RecipeError as error:
            errors += of_row(row.label, error)
    if errors:
        raise RecipeError(*dict.fromkeys(errors))
    return programs


def check_weights(plans: Sequence[Plan]) -> None:
    """Load all pretrained weights that some plans or their teachers name. Raises `RecipeError` if they can't be loaded.

    Weights that are to be downloaded are only looked for.
    """
    pretrained = {plan.base.statement(): plan for plan in plans if ModelFields.of(plan.base.trick).weights is not None}
    for plan in pretrained.values():
        lower(plan, device="meta").try_weights()
    given = {each.file.path: each for plan in plans for each in named_teachers(plan) if not each.is_trained}
    for teacher in given.values():
        if not teacher.is_run:
            compiled(teacher).try_weights()
