"""Look at the headers of all images before a training, so that broken ones are named together."""

from __future__ import annotations

import time
from collections.abc import Mapping

import attrs

from recipe.base.errors import fail
from recipe.base.wording import plural
from recipe.data.decode import CANNOT
from recipe.data.images import Files, Sets
from recipe.data.survey import headers
from recipe.inference.datasets import parts_of, what_to_do
from recipe.plan.plan import Plan

SECONDS = 5.0
"""How long the look takes at most."""

NAMED = 5
"""The number of images that are named."""


@attrs.frozen
class Look:
    """What a look at the headers of image files found."""

    notes: tuple[str, ...] = ()
    """Notes on those that are skipped, and on those that weren't looked at."""
    named: frozenset[str] = frozenset()
    """Why images are skipped which the notes name, as a training reports it when it skips them."""


def look_for_broken(plan: Plan, sets: Sets, seconds: float = SECONDS) -> Look:
    """Look for image files that can't be read, as far as their headers show.

    Raises `RecipeError` (E070) if images can't be read and the plan doesn't skip them.
    """
    use, fields = plan.images, plan.image_fields
    assert use is not None
    assert fields is not None
    paths = [path for part in parts_of(sets).values() if isinstance(part, Files) for path in part.paths]
    found = headers(paths, fields.appearance, time.monotonic() + seconds)
    every = plural(len(paths), "image", form=",")
    looked = every if found.count == len(paths) else f"the {found.count:,} of {every} that were looked at"
    if found.unreadable:
        broken = {str(paths[at]): why.partition(CANNOT)[2] for at, why in found.unreadable.items()}
        message, named = f"{len(broken):,} of {looked} can't be read", _named(broken)
        if not fields.skips:
            raise fail("E070", f"{message}: {named}", use.named_in(named) or use.source, help=what_to_do(use))
        note = f"{message} and {'is' if len(broken) == 1 else 'are'} skipped: {named}"
        return Look((note,), frozenset([*found.unreadable.values()][:NAMED]))
    if found.count < len(paths):
        note = f"the headers of {found.count:,} of {every} were looked at, in {seconds:g} s: none of these is broken"
        return Look((note,))
    return Look()


def _named(broken: Mapping[str, str]) -> str:
    """Return the first images with the reasons why they can't be read, those with the same reason together."""
    reasons = dict[str, list[str]]()
    for path, why in [*broken.items()][:NAMED]:
        reasons.setdefault(why, []).append(f"`{path}`")
    named = "; ".join(f"{', '.join(paths)}: {why}" for why, paths in reasons.items())
    return named + (f"; and {len(broken) - NAMED:,} more" if len(broken) > NAMED else "")
