"""The images of a plan, opened and checked, and how they become inputs."""

from __future__ import annotations

import attrs
import torch

from recipe.base.errors import fail
from recipe.base.wording import reason_of
from recipe.data.decode import CROP
from recipe.data.headers import ignored_in
from recipe.data.images import Files, Sets, unfit
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.runs.provenance import Preprocessing


def open_sets(plan: Plan, training: bool = True) -> Sets:
    """Open a plan's images. Raises `RecipeError` (E070) if they are missing or unfit for training.

    Without ``training``, only the held-out ones have to be there.
    """
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
    assert plan.image_fields is not None
    if why := unfit(sets, plan.image_fields.size):
        raise broken(use, "open", why)
    if training and len(sets.train.labels) < 2:
        raise fail("E070", "; ".join((f"`{use.word}` has fewer than two images to train on", *sets.notes)), use.span)
    if not len(sets.val.labels):
        raise fail("E070", f"`{use.word}` has no held-out images to evaluate on", use.span)
    if training and sets.classes < 2:
        raise fail("E070", f"`{use.word}` has fewer than two classes", use.span)
    parts = {"training": sets.train, "held-out": sets.val}
    for part, images in parts.items():
        if len(beyond := torch.nonzero((images.labels < 0) | (images.labels >= sets.classes))):
            first, most = int(beyond[0]), sets.classes - 1
            label = f"the label {int(images.labels[first])} of the {part} image {first}"
            raise fail("E070", f"`{use.word}`: {label} is not a class from 0 to {most}", use.span)
    files = {part: images.paths for part, images in parts.items() if isinstance(images, Files)}
    ignored = [note for part, paths in files.items() for note in ignored_in(paths, part)]
    return attrs.evolve(sets, notes=(*sets.notes, *ignored))


def preprocessing_of(plan: Plan, sets: Sets) -> Preprocessing:
    """Return how a plan's images become inputs in evaluation."""
    fields = plan.image_fields
    assert fields is not None
    crop = None if sets.val.uniform else CROP
    return Preprocessing(fields.size, crop, tuple(map(float, sets.mean)), tuple(map(float, sets.std)))
