"""What is checked before any training: the options of an ablation, its rows, their teachers and their weights."""

from __future__ import annotations

from collections.abc import Sequence

from recipe.ablation.rows.variants import Row, of_row
from recipe.base.caller import named, option
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.plan.plan import Plan
from recipe.plugins.field_contracts import ModelFields
from recipe.training.given_teachers import compiled
from recipe.training.teachers import named_teachers, teachers_of


def check_numbers(
    mode: str,
    seeds: int | None,
    resolution: int | None,
    runs: int | None,
    until: float | None,
    budget: str | None,
) -> None:
    """Raise `RecipeError` (E124) if some options can't be used, or not together."""
    if seeds is not None and seeds < 1:
        raise fail("E124", f"an ablation needs at least one seed, not {seeds}")
    if mode != "screen" and resolution is not None:
        raise fail("E124", f"{named('--resolution')} is for the mode `screen`, not `{mode}`", help="leave it out")
    if mode != "screen" and runs is not None and until is None:
        message = f"{named('--runs')} is for the mode `screen`, or together with {named('--until')}"
        raise fail("E124", message, help=f"set the number of seeds with {option('--seeds')}")
    if until is not None and not 0 < until < 100:
        raise fail("E124", f"{named('--until')} takes percentage points, such as 0.5, not {until:g}")
    if resolution not in (None, 3, 4):
        raise fail("E124", f"a screening has resolution 3 or 4, not {resolution}")
    if runs is not None and (seeds is not None or budget is not None):
        other = "--seeds" if seeds is not None else "--budget"
        message = f"{named('--runs')} and {named(other)} both choose the number of seeds"
        raise fail("E124", message, help="use one of them")


def check_confirmation(
    mode: str, confirm: bool, short: str | None, budget: str | None, holdout: str | float | None
) -> None:
    """Raise `RecipeError` (E124) if a confirmation can't be used."""
    for name, value in (("--confirm", confirm), ("--short", short is not None)):
        if value and mode != "screen":
            raise fail("E124", f"{named(name)} is for the mode `screen`, not `{mode}`", help="leave it out")
    if short is not None and not short.strip():
        raise fail("E124", f"{named('--short')} is empty", help=f'name statements: {option("--short")} "epochs 2"')
    if short is not None and budget is not None:
        message = f"{named('--short')} and {named('--budget')} both shorten the runs"
        raise fail("E124", message, help="use one of them")
    if holdout is not None and (confirm or short is not None):
        message = f"{named('--holdout')} and {named('--confirm' if confirm else '--short')} both check the best row"
        raise fail("E124", message, help="use one of them: other images, or other seeds")


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
