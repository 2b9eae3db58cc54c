"""Images that shrink during training must fit the network at their smallest, whenever in an epoch that is."""

from __future__ import annotations

import pytest

import recipe
from recipe.api import Progress, Trick, trick
from recipe.base.errors import RecipeError
from recipe.compiler.lower import smallest
from tests.helpers import bind, vocabulary_with

TEXT = "data fake size=64 classes=10 images=40; batch 4; epochs {epochs}; shrink"


@trick("shrink", writes=("resolution",))
class Shrink(Trick):
    """Train on tiny images in the last step of each epoch but the first."""

    def resolution(self, side: int, progress: Progress) -> int:
        last = progress.step % progress.steps_per_epoch == progress.steps_per_epoch - 1
        return 2 if last and progress.step > 10 else side


@pytest.mark.parametrize(("epochs", "side"), [(1, 64), (2, 2), (100, 2)])
def test_the_smallest_side_is_found_within_an_epoch(epochs: int, side: int) -> None:
    plan = bind(f"base resnet18; {TEXT.format(epochs=epochs)}", words=vocabulary_with(Shrink))
    assert smallest(plan, 64) == side


def test_a_side_within_an_epoch_that_does_not_fit_is_an_error() -> None:
    words = vocabulary_with(Shrink)
    assert recipe.compile(f"base alexnet; {TEXT.format(epochs=1)}", plugins=words, device="meta")
    with pytest.raises(RecipeError, match=r"E103.*can't process images of 2×2"):
        recipe.compile(f"base alexnet; {TEXT.format(epochs=2)}", plugins=words, device="meta")
