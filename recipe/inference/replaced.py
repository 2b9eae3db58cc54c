"""What statements may replace where a model is used as it is, and which words of a recipe have no part in that."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import listing
from recipe.inference.datasets import EVALUATION
from recipe.plan.bind import bind
from recipe.plan.changes import compare_words
from recipe.plan.plan import Plan
from recipe.plan.untrained import INPUTS
from recipe.plugins.settings import Training
from recipe.plugins.uses import Use

_FIELDS = attrs.fields(Training)

BATCH, COMPUTED = _FIELDS.batch.name, (_FIELDS.batch.name, _FIELDS.micro.name, _FIELDS.channels_last.name)
"""The training settings that state how many images are computed at a time, and in which memory format."""


def evaluating(plan: Plan) -> list[Use]:
    """Return the tricks that state how images are evaluated."""
    return [*{use.word: use for name in EVALUATION for use in plan.makers.get(name, ())}.values()]


def inputs_of(plan: Plan) -> set[str]:
    """Return the words of the tricks that state how images become inputs."""
    return {use.word for setting, uses in plan.makers.items() if INPUTS.fullmatch(setting) for use in uses}


def check_replaced(plan: Plan, new: Plan, also: Collection[str] = ()) -> None:
    """Raise `RecipeError` (E129) if statements replace anything but the data, the batch and how images are evaluated.

    ``new`` is the plan with them. Its other values may differ if they are only suggested. ``also`` are the words of
    other tricks that may be replaced.
    """
    replaceable = (use for one in (plan, new) for use in (one.images, *one.makers[BATCH], *evaluating(one)))
    if words := _replaced(plan, new, {*also, *(use.word for use in replaceable if use is not None)}):
        message = f"{listing(words)} can't be replaced in an evaluation: the model is trained already"
        raise fail("E129", message, help="only the data, the batch and the evaluation can be")


def check_pretrained(plan: Plan) -> None:
    """Raise `RecipeError` (E129) if the statements on top of a recipe change only how its model would be trained."""
    *below, top = plan.sources
    if top.kind != "override" or not below:
        return
    try:
        before = bind(below, plan.vocabulary)
    except RecipeError:  # without the statements, it is no recipe
        words = [use.word for use in plan.uses if use.span and use.span.source is top and use.word not in _parts(plan)]
    else:
        words = _replaced(before, plan, _parts(before) | _parts(plan))
    if words:
        message = f"{listing(words)} can't be replaced here: the pretrained model is used as it is, without training"
        raise fail("E129", message, help="only the model, the data, the batch, `input` and `evaluation` can be")


def untrained(plan: Plan) -> list[str]:
    """Return a note about the words of a recipe that only matter to a training, if there are any."""
    words = [use.word for use in plan.uses if use.stated and use.word not in _parts(plan)]
    return [f"nothing is trained, so these words have no effect: {listing(words)}"] if words else []


def warned(plan: Plan) -> list[str]:
    """Return the warnings about words of a recipe that have a part in the use of its pretrained model."""
    others = [use.span for use in plan.uses if use.word not in _parts(plan)]
    return [warning.message for warning in plan.warnings if warning.code == "W001" and warning.span not in others]


def _parts(plan: Plan) -> set[str]:
    """Return the words of the tricks that make the model of a plan, its images, and how they are computed."""
    computed = {use.word for setting in COMPUTED for use in plan.makers.get(setting, ())}
    uses = (plan.base, plan.images, *plan.hooked("rewrite"))
    return {*inputs_of(plan), *computed, *(use.word for use in uses if use is not None)}


def _replaced(plan: Plan, new: Plan, allowed: Collection[str]) -> list[str]:
    """Return the words of what ``new`` states or drops and ``plan`` doesn't, except those that are allowed."""

    def stated(word: str) -> bool:
        before, now = plan.find(word), new.find(word)
        if now is None:
            return before is None or before.stated  # the dialect is no trick
        known = before is not None and before.span and now.span and before.span.source is now.span.source
        return now.stated and not known

    changed = [change.word for change in compare_words(plan, new) if change.word not in allowed]
    return [word for word in changed if stated(word)]
