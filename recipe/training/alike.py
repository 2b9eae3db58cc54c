"""Whether all processes of a training have the same images."""

from __future__ import annotations

from recipe.base.errors import fail
from recipe.base.source import Span
from recipe.data.fingerprinting import glance
from recipe.data.images import Sets
from recipe.devices.distributed import Ranks
from recipe.inference.datasets import parts_of

HELP = "use the same files on all machines, and state the revision of a dataset that is downloaded"


def check_alike(ranks: Ranks, sets: Sets, span: Span | None) -> None:
    """Raise `RecipeError` (E070) in all processes if one has other images than the first one.

    Looks at all labels and names, but only at some of the files.
    """
    if not ranks.several:
        return
    first, *others = ranks.gather({part: glance(images) for part, images in parts_of(sets).items()})
    for rank, seen in enumerate(others, 1):
        if other := next((part for part in (first | seen) if first.get(part) != seen.get(part)), None):
            message = f"process {rank} and the first one have different images: the {other} ones"
            raise fail("E070", message, span, help=HELP)
