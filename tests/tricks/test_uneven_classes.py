"""Classes with few images: they are sampled more often, or count more in the loss, as their sources define it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import recipe
from recipe.api import Draws, InMemory, Sets
from recipe.base.errors import RecipeError
from recipe.data.draws import occurrences, order
from recipe.devices.distributed import Ranks
from recipe.inference.batches import load
from recipe.plugins.settings import Training
from recipe.training.feeding import training_images
from recipe.training.loading import Steps
from recipe.training.objective import class_weights, cross_entropy, objective
from recipe.training.outputs import uneven
from recipe.training.transform import BatchTransform
from recipe.tricks.loss_weights import Weights
from recipe.tricks.sample_balanced import Balanced
from tests.helpers import bind, diagnostics

COUNTS = (60, 25, 10, 5)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS))


def drawn(epoch: int = 0, seed: int = 0) -> Draws:
    return Draws(seed, epoch, np.arange(len(LABELS)), 0, "order")


def uneven_sets() -> Sets:
    pixels = torch.randint(
        0, 256, (len(LABELS), 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    images = InMemory(pixels, torch.from_numpy(LABELS))
    return Sets(images, images, 4)


# ---- sample balanced


@pytest.mark.parametrize(("power", "expected"), [(0, (25, 25, 25, 25)), (0.5, (43, 27, 18, 12)), (1, COUNTS)])
def test_each_class_has_its_share(power: float, expected: tuple[int, ...]) -> None:
    chosen = Balanced(power=power).epoch_order(LABELS, drawn())
    assert chosen.dtype == np.int64
    assert len(chosen) == len(LABELS)
    found = np.bincount(LABELS[chosen])
    shares = np.array(COUNTS) ** power / np.sum(np.array(COUNTS) ** power) * 100
    assert np.abs(found - shares).max() <= 1
    assert np.abs(found - expected).max() <= 1


def test_images_of_a_class_are_used_equally_often() -> None:
    times = np.bincount(Balanced().epoch_order(LABELS, drawn()), minlength=len(LABELS))
    for label in range(4):
        own = times[label == LABELS]
        assert own.max() - own.min() <= 1


def test_epochs_and_seeds_have_other_orders_and_repeat() -> None:
    orders = [tuple(Balanced().epoch_order(LABELS, drawn(epoch, seed))) for epoch in range(3) for seed in range(2)]
    assert len({*orders}) == 6
    assert orders == [
        tuple(Balanced().epoch_order(LABELS, drawn(epoch, seed))) for epoch in range(3) for seed in range(2)
    ]
    seen = {image for each in orders for image in each}
    assert len(seen) > 0.9 * len(LABELS)  # what one epoch leaves out, another one uses


def test_a_class_without_images_and_a_single_class() -> None:
    labels = np.array([0, 0, 3, 0])
    chosen = Balanced().epoch_order(labels, Draws(0, 0, np.arange(4), 0, "order"))
    assert np.bincount(labels[chosen], minlength=4).tolist() == [2, 0, 0, 2]
    alone = Balanced().epoch_order(np.zeros(5, np.int64), Draws(0, 0, np.arange(5), 0, "order"))
    assert sorted(alone.tolist()) == [0, 1, 2, 3, 4]


def test_a_power_of_1_is_reported() -> None:
    (found,) = bind("base resnet18; sample balanced power=1").warnings
    assert found.message == "nothing is balanced: with a power of 1, each class keeps its share"


# ---- an image that occurs several times


def test_occurrences_count_what_came_before() -> None:
    assert occurrences(np.array([4, 7, 4, 4, 7])).tolist() == [0, 0, 1, 2, 1]
    assert occurrences(np.arange(5)).tolist() == [0] * 5
    assert occurrences(np.empty(0, np.int64)).tolist() == []
    values = np.random.default_rng(1).integers(0, 9, 200)
    expected = [int((values[:place] == values[place]).sum()) for place in range(200)]
    assert occurrences(values).tolist() == expected


def test_the_first_occurrence_has_the_draws_of_before_and_the_others_their_own() -> None:
    images = np.array([3, 3, 3, 8])
    plain, counted = (Draws(5, 2, images, 0, "augment flip", again) for again in (None, occurrences(images)))
    assert np.array_equal(plain.uniform(2)[[0, 3]], counted.uniform(2)[[0, 3]])
    assert len({*counted.uniform()[:, 0].tolist()}) == 4
    assert np.array_equal(counted.of("x").uniform(), Draws(5, 2, images, 0, "x", occurrences(images)).uniform())


def test_two_occurrences_are_augmented_differently_on_any_number_of_workers_and_processes() -> None:
    text = "base resnet18; data fake size=8; batch 16; sample balanced; augment crop; augment erase 0.9"
    plan, sets = bind(text), uneven_sets()
    transform = BatchTransform.of(plan, sets, 4, torch.device("cpu"))
    whole = [*load(training_images(plan, sets, Ranks()), range(14), 0, False)]
    inputs = {
        (int(image), int(again), batch.step): pixels
        for batch in whole
        for image, again, pixels in zip(batch.indices, batch.occurrences, transform(batch)[0], strict=True)
    }
    repeated = [key for key in inputs if key[1] == 1]
    assert repeated
    for image, _, step in repeated:
        first = next(key for key in inputs if key[0] == image and key[1] == 0 and key[2] // 7 == step // 7)
        assert not torch.equal(inputs[first], inputs[image, 1, step])
    steps = training_images(plan, sets, Ranks())
    for other in ([*load(steps, range(14), 2, False)], [*load(steps, range(7, 14), 0, False)]):
        for batch in other:
            assert torch.equal(transform(batch)[0], transform(whole[batch.step])[0])
    halves = [Steps(sets.train, plan.training, None, rank=rank, world=2, chooser=steps.chooser) for rank in range(2)]
    for step in range(14):
        parts = [half[step] for half in halves]
        assert np.concatenate([part.indices for part in parts]).tolist() == whole[step].indices.tolist()
        assert np.concatenate([part.occurrences for part in parts]).tolist() == whole[step].occurrences.tolist()


def test_without_it_an_epoch_is_in_the_order_of_before() -> None:
    steps = Steps(uneven_sets().train, Training(batch=16, seed=3), None)
    assert np.concatenate([steps.numbers(step) for step in range(7)]).tolist() == order(3, 0, 100).tolist()
    assert steps[0].occurrences is None


def test_an_order_that_is_none_is_refused() -> None:
    class Broken(Balanced):
        def epoch_order(self, labels: np.ndarray, draws: Draws) -> np.ndarray:
            return np.array([len(labels)] * len(labels))

    plan = bind("base resnet18; data fake size=8; sample balanced")
    use = plan.hooked("epoch_order")[0]
    object.__setattr__(use, "trick", Broken())
    with pytest.raises(RecipeError, match="as many indices of images as there are"):
        training_images(plan, uneven_sets(), Ranks()).numbers(0)


# ---- loss weights


def test_weights_are_those_of_the_papers() -> None:
    counts = np.array(COUNTS)
    balanced = Weights().class_weights(counts)
    assert balanced == pytest.approx(100 / (4 * counts))  # as in scikit-learn
    effective = Weights(beta=0.9).class_weights(counts)
    raw = (1 - 0.9) / (1 - 0.9**counts)
    assert effective / effective[0] == pytest.approx(raw / raw[0])
    assert (effective * counts).sum() == pytest.approx(100)
    near = Weights(beta=1 - 1e-9).class_weights(counts)
    assert near == pytest.approx(balanced, rel=1e-3)


def test_the_loss_is_weighted_by_class() -> None:
    plan, labels = bind("base resnet18; data digits; loss weights; loss smooth"), torch.from_numpy(LABELS)
    weights = class_weights(plan, labels, 5, torch.device("cpu"))
    assert weights is not None
    assert weights[:4].tolist() == pytest.approx((100 / (4 * np.array(COUNTS))).tolist())
    logits, given = torch.randn(100, 5), F.one_hot(labels, 5).float()
    logarithms = -logits.log_softmax(1)
    for targets in (given, 0.9 * given + 0.02):
        expected = (logarithms * targets * weights).sum(1).mean()
        assert torch.allclose(objective(plan, {}, weights=weights)(logits, targets, logits)[0], expected)
    assert torch.allclose(cross_entropy(logits, labels, weights), (logarithms * given * weights).sum(1).mean())
    halves = [cross_entropy(logits[part], labels[part], weights) for part in (slice(50), slice(50, 100))]
    assert torch.allclose(torch.stack(halves).mean(), cross_entropy(logits, labels, weights))


def test_another_loss_can_not_be_weighted_so() -> None:
    (found,) = diagnostics("base resnet18; loss weights; loss bce")
    assert found.code == "E030"


def test_both_ways_together_are_reported() -> None:
    (found,) = bind("base resnet18; loss weights; sample balanced").warnings
    assert found.message.startswith("rare classes count twice: `sample balanced`")


# ---- balanced accuracy


@pytest.mark.parametrize(
    ("counts", "expected"), [((10, 10), False), ((15, 10), False), ((16, 10), True), ((9, 0, 9), False)]
)
def test_classes_are_uneven_from_a_factor_on(counts: tuple[int, ...], expected: bool) -> None:
    assert uneven(torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))) is expected


def test_balanced_accuracy_is_shown_where_classes_are_uneven(tmp_path: Path) -> None:
    from PIL import Image

    for part in ("train", "val"):
        for label, count in (("cat", 12), ("dog", 4)):
            (place := tmp_path / part / label).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (16, 16), (number * 9, 99 if label == "cat" else 9, 0)).save(place / f"{number}.png")
    text = f'base timm:test_resnet; data folder "{tmp_path}" size=32 workers=0; batch 8; lr 0.01; epochs 1'
    for words in ("sample balanced", "loss weights"):
        run = recipe.run(text, words, out=tmp_path / words)
        summary = run.summary
        recalls = [one.recall for one in run.evaluate().classes]
        assert summary["balanced"] == pytest.approx(np.mean(recalls), abs=1e-6)
        assert run.evaluate().top1 == summary["top1"]
