"""Words of a recipe that change nothing are reported, and the same words with an effect are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import recipe
from recipe.training.setup import prepare
from tests.helpers import bind, command

BASE = "base timm:test_efficientnet; data fake classes=4 images=32 size=32"
TRAINED = f"{BASE}; batch 16; epochs 4; lr 0.01"


def told(text: str, *statements: str) -> list[str]:
    """Return the warnings of a recipe before it is trained."""
    _, program = prepare(bind(text, *statements))
    return [warning.message for warning in program.warnings]


@pytest.mark.parametrize(
    ("statements", "said", "with_effect"),
    [
        ("augment flip 0", "no image is mirrored", "augment flip 1"),
        ("augment jitter 0 0 0 0", "no image is changed", "augment jitter 0 0 0 0.1"),
        ("augment pca-noise 0", "no noise is added", "augment pca-noise 0.1"),
        ("augment crop 1", "nothing is random", "augment crop 0.9"),
        ("augment erase 0", "nothing is erased: the probability", "augment erase 1"),
        ("augment erase 1 0.99 1 aspect=1", "in images of 32×32 pixels, no boxes of 0.99", "augment erase 1 0.9 1"),
        ("augment erase 1 1e-5 1e-4", "nothing is erased", "augment erase 1 1e-5 0.01"),
        ("batch 1; augment mixup", "nothing is mixed: a batch has only one image", "batch 2; augment mixup"),
        ("batch 1; augment cutmix", "nothing is mixed: a batch has only one image", "batch 2; augment cutmix"),
        ("batch micro 16", "nothing is split", "batch micro 8"),
        ("decay 0 no-bias", "`decay no-bias` has no effect: it changes the options of no", "decay no-bias"),
        ("ema 0", "nothing is averaged", "ema 0.1"),
        (
            "freeze gradual level=0.001",
            "`freeze gradual` has no effect: it freezes no parameter at any step",
            "freeze gradual level=0.1",
        ),
        (
            "freeze gradual 0.99",
            "`freeze gradual` has no effect: it freezes no parameter at any step",
            "freeze gradual 0.5",
        ),
        ("loss aux=0.9", "`loss` has no effect: `timm:test_efficientnet` has no auxiliary heads", "loss"),
        ("loss smooth 0", "`loss smooth` has no effect: the loss is the same without it", "loss smooth 0.01"),
        ("loss smooth; loss bce threshold=0.5", "`loss smooth` has no effect", "loss smooth; loss bce"),
        (
            "loss smooth; loss bce threshold=0.95",
            "`loss bce` ignores the labels: it is the same for every class, with targets of 0.9 for the true class",
            "loss smooth; augment mixup; loss bce threshold=0.5",
        ),
        ("loss smooth; loss bce threshold=0", "`loss bce` ignores the labels", "loss smooth; loss bce"),
        ("loss bce threshold=0.5", "targets are already 0 or 1", "loss bce threshold=0.5; augment mixup"),
        ("resize step=1024", "`resize` has no effect: it does not change the size", "resize step=16"),
        ("resize 1", "`resize` has no effect: it does not change the size", "resize 0.5"),
        ("lr cosine floor=1", "`lr cosine` has no effect: it does not change the learning rate", "lr cosine"),
        ("lr warmup 0", "`lr warmup` has no effect", "lr warmup 1"),
        ("lr warmup 0.5", "`lr warmup` has no effect", "lr warmup 0.6"),
        ("epochs 1; batch 32; lr cosine", "`lr cosine` has no effect", "epochs 2; batch 32; lr cosine"),
        ("lr 0.01 every=epoch", "`every=epoch` has no effect", "lr 0.01 every=epoch; lr cosine"),
        ("lr step 3.9", "`lr step` has no effect: it does not change the learning rate at any step", "lr step 3.5"),
        ("lr step 1 3.9 9", "3.9 of `lr step` has no effect", "lr step 1 3.5"),
        ("lr step 5", "ends before the step at 5", "lr step 3"),
        ("lr 0.01 every=epoch; lr step 3.5", "ends before the step at 3.5, since the rate changes only between", ""),
        ("dialect torchvision; lr step 3.5", "ends before the step at 3.5, since the rate changes only between", ""),
        ("dialect torchvision; lr step 1.5", "the step at 1.5 happens at 2", "dialect torchvision; lr step 1 2"),
    ],
)
def test_words_without_effect(statements: str, said: str, with_effect: str) -> None:
    found = told(TRAINED, *statements.split("; "))
    assert any(said in message for message in found), found
    assert told(TRAINED, *filter(None, with_effect.split("; "))) == []


@pytest.mark.parametrize(
    ("statements", "needless", "other"),
    [
        ("freeze body; freeze norms", "norms", "body"),
        ('freeze body; freeze to "bn1"', "to", "body"),
        ("freeze body until=2; freeze norms until=2", "norms", "body"),
        ("freeze body; freeze norms until=3", "norms", "body"),
        ("freeze body; freeze gradual", "gradual", "body"),
        ("freeze body until=2; freeze norms until=3", "", ""),
        ('freeze to "bn1"; freeze norms', "", ""),
        ('freeze to "bn1"; freeze gradual', "", ""),
        ("freeze body until=2; freeze gradual", "", ""),
    ],
)
def test_freezing_what_is_frozen_anyway(statements: str, needless: str, other: str) -> None:
    found = [message for message in told(TRAINED, *statements.split("; ")) if "has no effect" in message]
    said = f"`freeze {needless}` has no effect: `freeze {other}` freezes all of that already"
    assert found == ([said] if needless else [])


def test_a_batch_larger_than_the_data_is_reported_with_the_rate() -> None:
    (found,) = told(f"{BASE}; epochs 1; batch 4096; lr 0.1 per 256")
    assert found == (
        "there are only 32 training images, so each update uses 32 images, not 4096, "
        "but `lr per` sets the learning rate of 1.6 for 4096"
    )
    (found,) = told(f"{BASE}; epochs 1; batch 4096; lr 0.1")
    assert found == "there are only 32 training images, so each update uses 32 images, not 4096"
    assert told(f"{BASE}; epochs 1; batch 32; lr 0.1 per 256") == []
    assert told(f"{BASE}; epochs 1; lr 0.1") == []  # the default size of batches is not stated


def test_values_that_the_dialect_implies_are_not_reported() -> None:
    assert told(f"{BASE}; dialect torchvision; batch 16; epochs 4") == []


def test_long_trainings_are_looked_at_here_and_there() -> None:
    (found,) = told(f"{BASE}; batch 16; epochs 90000; lr cosine floor=1")
    assert found.endswith("it does not change the learning rate at any of 2,000 evenly spaced steps")
    assert told(f"{BASE}; batch 16; epochs 90000; lr step 1 89999.5") == []


def test_commands_show_words_without_effect(tmp_path: Path) -> None:
    text = f"{TRAINED}; resize step=1024"
    for words in (["explain", text], ["run", text, "--dry-run", "--device", "cpu"]):
        found = command(*words)
        assert "`resize` has no effect" in found.stdout + found.stderr, words


def test_synchronized_normalization_in_a_single_process_is_reported() -> None:
    said = "`norm sync` has no effect: there is only one process"
    for number, shown in ((1, True), (2, False)):
        found = command("run", f"{TRAINED}; norm sync", "--dry-run", "--device", "cpu", "--nproc", number)
        assert (found.status, said in found.stderr) == (0, shown), found.stderr


class Normalised(nn.Module):
    """A network with a convolution whose weights are computed from a length and a direction."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
        self.pool, self.flat, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.flat(self.pool(self.conv(x))))  # type: ignore[no-any-return]


def test_weights_that_are_computed_from_others_decay() -> None:
    program = recipe.compile("decay no-bias", base=Normalised())
    decaying = {name for group in program.groups for name in group.names if group.options["weight_decay"]}
    parts = {"conv.parametrizations.weight.original0", "conv.parametrizations.weight.original1"}
    assert decaying == {"fc.weight", *parts}


def test_weights_that_an_initialization_leaves_out_are_reported() -> None:
    (found,) = recipe.compile("init xavier", base=Normalised()).warnings
    assert found.message == "`init xavier` leaves out `conv.weight`, which is computed from other parameters"
    assert recipe.compile("decay no-bias", base=Normalised()).warnings == ()
