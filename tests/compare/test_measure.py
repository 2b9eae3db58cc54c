"""Measure two recipes in turn: both are actually trained, and a recipe that can't be trained is reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipe.base.errors import RecipeError
from recipe.compare.measure import _Worker
from tests.docs.schemas import validate
from tests.helpers import command

TINY = "base resnet18; data fake size=32 classes=10 images=16; batch 4"
PLUGIN = '''
from recipe.api import Trick, trick

@trick("augment nothing", writes=("inputs",))
class Nothing(Trick):
    """Leave the images unchanged."""

    def augment(self, images, draws):
        return images
'''


@pytest.mark.slow
def test_measure(tmp_path: Path) -> None:
    plugin = tmp_path / "nothing.py"
    plugin.write_text(PLUGIN)
    done = command(
        "diff", TINY, "+", "base resnet34; augment nothing", "--measure", "--device=cpu", "--json", "--plugin", plugin
    )
    assert done.status == 0, done.stderr
    validate("diff", json.loads(done.stdout))
    found = json.loads(done.stdout)["measured"]
    assert (found["batch"], found["device"]) == (4, "cpu")
    for side in ("a", "b"):
        assert found[side]["images_per_second"] == pytest.approx(4 / found[side]["step_seconds"])
        assert found[side]["peak_bytes"] > 100e6
    assert 1 < found["ratio"]["median"] <= found["ratio"]["high"]  # a ResNet-34 computes twice as much as a ResNet-18
    assert found["ratio"]["low"] <= found["ratio"]["median"]


def test_an_unavailable_device_is_reported() -> None:
    done = command("diff", TINY, "+", "seed 1", "--measure", "--device=cuda:7")
    assert done.status == 2
    assert "error[E110]" in done.stderr


def test_the_reason_why_a_side_cannot_be_trained_is_reported() -> None:
    worker = _Worker({"recipe": "base resnet18; batch 4", "batch": 4, "device": "cuda:7", "plugins": ()})
    try:
        with pytest.raises(RecipeError, match=r"E110.*can't measure a recipe here: the device `cuda:7` is unavailable"):
            worker.train()
    finally:
        worker.stop()
