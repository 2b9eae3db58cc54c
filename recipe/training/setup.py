"""Prepare for training: open the images, and compile the program that fits them."""

from __future__ import annotations

from recipe.base.errors import fail
from recipe.base.wording import reason_of
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.data.images import Sets, unfit
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook


def open_sets(plan: Plan) -> Sets:
    """Open a plan's images. Raises `RecipeError` (E070) if they are missing or unfit for training."""
    use = plan.images
    assert use is not None
    try:
        sets: Sets = call_hook(use, "open")
    except (MemoryError, RuntimeError) as error:
        reason = reason_of(error, "not enough memory")
        raise fail("E070", f"`{use.word}` can't be read: {reason}", use.span) from error
    except (OSError, ValueError) as error:
        named = isinstance(error, OSError) and error.strerror
        reason = f"{error.strerror}: {error.filename}".lower() if named else str(error)  # type: ignore[union-attr]
        raise fail("E070", f"`{use.word}`: {reason}", use.span) from error
    if why := unfit(sets):
        raise broken(use, "open", why)
    if len(sets.train.labels) < 2:
        raise fail("E070", f"`{use.word}` has fewer than two images to train on", use.span)
    if not len(sets.val.labels):
        raise fail("E070", f"`{use.word}` has no held-out images to evaluate on", use.span)
    for part in (sets.train, sets.val):
        if not 0 <= int(part.labels.min()) <= int(part.labels.max()) < sets.classes:
            raise fail("E070", f"`{use.word}` has labels outside its {sets.classes} classes", use.span)
    if sets.classes < 2:
        raise fail("E070", f"`{use.word}` has fewer than two classes", use.span)
    return sets


def prepare(plan: Plan, compiled: Program | None = None) -> tuple[Sets, Program]:
    """Return a plan's images and a program that fits them. Raises `RecipeError` (E071) if they don't match.

    A program compiled from this exact plan is used as is: training starts from its model's weights.
    """
    sets = open_sets(plan)
    if compiled is not None and compiled.plan is plan and compiled.device != "meta":
        program = compiled
    else:
        program = lower(plan, base=compiled.module if compiled else None, classes=sets.classes)
    program.check_classes(sets.classes)
    return sets, program
