"""Progressive resizing: its sizes over a training, and their use in a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recipe
from recipe.plugins.calling import call_hook
from recipe.plugins.progress import Progress
from recipe.training.trainer import Trainer
from recipe.tricks.resize import grown
from tests.durability.trials import small
from tests.helpers import bind


@given(
    side=st.integers(1, 512),
    start=st.floats(0.01, 1),
    until=st.floats(0.01, 1),
    step=st.integers(1, 64),
    parts=st.lists(st.floats(0, 1), min_size=2, max_size=20),
)
def test_sides_grow_from_at_least_one_pixel_to_the_full_size(side, start, until, step, parts):
    sides = [grown(side, done, start, until, step) for done in sorted(parts)]
    assert sides == sorted(sides)
    assert all(1 <= one <= side and (one % step == 0 or one == side) for one in sides)
    assert grown(side, until, start, until, step) == side


@pytest.mark.parametrize(("done", "side"), [(0.0, 112), (0.4, 168), (0.799, 220), (0.8, 224), (1.0, 224)])
def test_sides_of_a_training(done, side):
    (use,) = bind("base resnet50; resize").hooked("resolution")
    assert call_hook(use, "resolution", 224, Progress(int(done * 1000), 10, 100)) == side


def test_sizes_match_composer():
    """Composer: scale = initial + (1 - initial) * elapsed / (1 - finetune_fraction), without its delay."""
    for step in range(80):
        scale = 0.5 + 0.5 * step / 80
        assert abs(grown(224, step / 100, 0.5, 0.8, 1) - 224 * scale) < 1


def test_a_run_uses_these_sizes(tmp_path, monkeypatch):
    seen, resized = [], Trainer.sized
    monkeypatch.setattr(Trainer, "sized", lambda *args: seen.append(resized(*args)) or seen[-1])
    program = recipe.compile("data fake size=32 classes=10 images=40; batch 8; epochs 2; resize 0.25", base=small())
    recipe.run(program, out=tmp_path / "run", device="cpu")
    assert [images.shape[-1] for images in seen] == [8, 8, 12, 16, 20, 20, 24, 28, 32, 32]
    assert all(images.shape[-2] == images.shape[-1] and images.is_floating_point() for images in seen)


def test_the_smallest_images_must_fit_the_model():
    with pytest.raises(recipe.RecipeError, match="E103"):
        recipe.compile("base alexnet; data fake size=64; resize 0.25; epochs 4", device="meta")
    recipe.compile("base alexnet; data fake size=64; resize 1; epochs 4", device="meta")
