"""``deterministic``: what a trick does follows from the recipe, and for an image from that image alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch

from recipe.data.draws import Draws
from recipe.plugins.calling import call_hook
from recipe.plugins.uses import Use
from recipe.testing import inputs
from recipe.testing.findings import Unmet
from recipe.testing.trick_under_test import TrickUnderTest

COUNT, SIDE = 8, 32
TOLERANCE = 1e-5
"""Values in [0, 1] that are computed in batches of other sizes may be rounded otherwise."""

Arrays = tuple[npt.NDArray[Any], ...]
Hook = Callable[[Sequence[int]], Arrays]
"""From places in a batch of `COUNT` images to what a hook makes of the images there."""


def deterministic(subject: TrickUnderTest) -> None:
    """The same training twice has the same bits, whatever global random numbers were drawn before.

    An image's box, augmentation and mixture depend neither on the rest of its batch nor on its place there, nor on
    global random numbers, and leave those as they were. Partners stay together.
    """
    first = subject.bench.outcome(subject.within)
    use = subject.bench.plan(subject.within).find(subject.word)
    assert use is not None
    for hook, group in (("crop_box", 1), ("augment", 1), ("mix", 2)):
        if subject.overrides(hook):
            _alone(subject.word, hook, _asked(use, hook), group)
    with inputs.seeded(1):
        if subject.bench.outcome(subject.within, fresh=True) != first:
            raise Unmet(f"`{subject.within}`, trained twice, differs; {_HELP}")


_HELP = "take randomness from `Draws` alone, and keep nothing between calls"


def _asked(use: Use, hook: str) -> Hook:
    """A hook as a function of the places in a batch that it is given."""
    whole = inputs.draws(COUNT, "crop" if hook == "crop_box" else use.word)
    images, targets = inputs.images(COUNT, SIDE), inputs.targets(COUNT)

    def made(places: Sequence[int]) -> Arrays:
        index = np.asarray(places)
        draws: Draws = attrs.evolve(whole, indices=whole.indices[index])
        if hook == "crop_box":
            sides = np.linspace(20.0, 60.0, COUNT)
            return (call_hook(use, "crop_box", draws, sides[index], sides[::-1][index]),)
        if hook == "augment":
            return (call_hook(use, "augment", images[index], draws).numpy(),)
        return tuple(one.numpy() for one in call_hook(use, "mix", images[index], targets[index], draws))

    return made


def _alone(word: str, hook: str, made: Hook, group: int) -> None:
    """Compare a whole batch with its parts and with another order, in groups of images that stay together."""
    whole = range(COUNT)
    with inputs.seeded(2):
        before = _state()
        expected = made(whole)
        if _state() != before:
            raise Unmet(f"`{hook}` of `{word}` draws global random numbers; {_HELP}")
    with inputs.seeded(3):
        if not _near(made(whole), expected):
            raise Unmet(f"`{hook}` of `{word}`, asked twice, differs; {_HELP}")
    groups = [whole[start : start + group] for start in range(0, COUNT, group)]
    orders: dict[str, list[Sequence[int]]] = {
        "in halves": [whole[: COUNT // 2], whole[COUNT // 2 :]],
        "alone": [*groups],
        "in another order": [[place for part in reversed(groups) for place in part]],
    }
    for how, parts in orders.items():
        found = [made(places) for places in parts]
        places = [place for part in parts for place in part]
        joined = tuple(np.concatenate(pieces)[np.argsort(places)] for pieces in zip(*found, strict=True))
        if not _near(joined, expected):
            raise Unmet(
                f"`{hook}` of `{word}` makes something else of an image {how} than among the others of its batch; "
                "let what becomes of an image follow from it and its draws"
            )


def _near(found: Arrays, expected: Arrays) -> bool:
    return all(np.allclose(one, other, rtol=0, atol=TOLERANCE) for one, other in zip(found, expected, strict=True))


def _state() -> list[object]:
    return [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()]
