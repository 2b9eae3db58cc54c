"""Mixup and CutMix, compared with torchvision's for given weights, partners and places."""

import math

import attrs
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from recipe.data.draws import Draws
from recipe.data.images import InMemory, Sets
from recipe.inference.batches import Batch
from recipe.training.transform import BatchTransform
from recipe.tricks._pairs import partners
from recipe.tricks.augment_cutmix import cutmix
from recipe.tricks.augment_mixup import mixup
from recipe.tricks.loss_smooth import smooth
from tests.helpers import bind

N, CLASSES = 6, 5
ROLLED = torch.arange(N).roll(1)  # torchvision's partner: the previous image


def batch(height=8, width=12):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(N, 3, height, width, generator=generator, dtype=torch.float64)
    return images, F.one_hot(torch.arange(N) % CLASSES, CLASSES).double()


def oracle(transform, images, targets, **params):
    """Apply torchvision's transform to a batch with these parameters instead of random ones."""
    params = {**params, "labels": targets, "batch_size": len(images)}
    return transform.transform(images.clone(), params), transform.transform(targets, params)


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5, 0.75, 1.0])
def test_mixup_equals_that_of_torchvision(weight):
    images, targets = smoothed = (batch()[0], smooth(batch()[1], 0.1))
    ours = mixup(images, targets, ROLLED, torch.full((N,), weight, dtype=torch.float64))
    for one, other in zip(ours, oracle(v2.MixUp(num_classes=CLASSES), *smoothed, lam=weight), strict=True):
        torch.testing.assert_close(one, other)


def test_mixup_has_a_weight_for_each_image():
    images, targets = batch()
    weights = torch.linspace(0, 1, N, dtype=torch.float64)
    mixed, mixed_targets = mixup(images, targets, ROLLED, weights)
    for k in range(N):
        j = ROLLED[k]
        torch.testing.assert_close(mixed[k], weights[k] * images[k] + (1 - weights[k]) * images[j])
        torch.testing.assert_close(mixed_targets[k], weights[k] * targets[k] + (1 - weights[k]) * targets[j])


def torchvisions_box(height, width, row, column, weight):
    """Compute the box as `torchvision.transforms.v2.CutMix.make_params` does."""
    r = 0.5 * math.sqrt(1 - weight)
    down, right = int(r * height), int(r * width)
    y1, x1 = max(row - down, 0), max(column - right, 0)
    y2, x2 = min(row + down, height), min(column + right, width)
    return (x1, y1, x2, y2), 1 - (x2 - x1) * (y2 - y1) / (width * height)


@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    weight=st.floats(0, 1),
    centre=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2),
)
def test_cutmix_equals_that_of_torchvision(height, width, weight, centre):
    images, targets = batch(height, width)
    targets = smooth(targets, 0.1)
    box, kept = torchvisions_box(height, width, int(centre[0] * height), int(centre[1] * width), weight)
    theirs = oracle(v2.CutMix(num_classes=CLASSES), images, targets, box=box, lam_adjusted=kept)
    weights = torch.full((N,), weight, dtype=torch.float64)
    ours = cutmix(images, targets, ROLLED, weights, torch.tensor([centre] * N, dtype=torch.float64))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_cutmix_has_a_box_for_each_image_and_weights_targets_by_its_area():
    images, targets = batch(20, 20)
    black, white = torch.zeros_like(images), torch.ones_like(images)
    pictures = torch.where(torch.arange(N).view(-1, 1, 1, 1) % 2 == 0, black, white)
    weights = torch.linspace(0.1, 0.9, N, dtype=torch.float64)
    centres = torch.rand(N, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mixed, mixed_targets = cutmix(pictures, targets, partners(N), weights, centres)
    part = (mixed != pictures).double().mean((1, 2, 3))
    assert part.unique().numel() > 3
    torch.testing.assert_close(mixed_targets, targets * (1 - part)[:, None] + targets[partners(N)] * part[:, None])


@given(st.integers(1, 40))
def test_partners_are_mutual_neighbors(images):
    partner = partners(images)
    assert torch.equal(partner[partner], torch.arange(images))
    assert (partner == torch.arange(images)).sum() == images % 2


@pytest.mark.parametrize("word", ["mixup", "cutmix"])
def test_images_and_targets_are_mixed_in_the_same_proportion(word):
    """For any draws, the share of the original image matches its target, by area or by weight."""
    trick = bind(f"base resnet18; augment {word} 1").find(f"augment {word}").trick
    pictures = torch.eye(8).view(8, 8, 1, 1).expand(8, 8, 16, 16)
    targets = torch.eye(8)
    mixed, mixed_targets = trick.mix(pictures, targets, Draws(0, 0, np.arange(8), 0, f"augment {word}"))
    torch.testing.assert_close(mixed.mean((2, 3)), mixed_targets)
    assert not torch.equal(mixed_targets, targets)
    own = mixed_targets.diagonal()
    torch.testing.assert_close(own, own[partners(8)])  # partners share one weight


PIXELS = torch.arange(16 * 3 * 4 * 4).remainder(251).byte().view(16, 3, 4, 4)
IMAGES = InMemory(PIXELS, torch.arange(16) % CLASSES)


def prepared(text):
    plan = bind(f"base resnet18; {text}")
    sets = Sets(IMAGES, IMAGES, CLASSES)
    made = Batch(PIXELS, IMAGES.labels, np.arange(16), 0, 3)
    return plan, BatchTransform.of(plan, sets, sets.classes, torch.device("cpu"))(made)


def test_targets_are_smoothed_before_they_are_mixed():
    plan, (images, targets) = prepared("augment mixup 0.2; loss smooth 0.1")
    plain, labels = prepared("seed 0")[1]
    assert labels.dtype == torch.long
    trick = plan.find("augment mixup").trick
    softened = smooth(F.one_hot(labels, CLASSES).float(), 0.1)
    expected = trick.mix(plain, softened, Draws(0, 0, np.arange(16), 3, "augment mixup"))
    torch.testing.assert_close((images, targets), expected, rtol=0, atol=0)


def test_each_batch_gets_either_mixup_or_cutmix():
    plan = bind("base resnet18; augment mixup cutmix")
    prepare = BatchTransform.of(plan, Sets(IMAGES, IMAGES, CLASSES), CLASSES, torch.device("cpu"))
    only = {
        word: BatchTransform.of(bind(f"base resnet18; augment {word}"), prepare.sets, CLASSES, prepare.device)
        for word in ("mixup", "cutmix")
    }
    chosen = []
    for step in range(40):
        made = Batch(PIXELS, IMAGES.labels, np.arange(16), 0, step)
        found = [word for word, one in only.items() if torch.equal(one(made)[0], prepare(made)[0])]
        assert len(found) == 1
        chosen += found
    assert 10 <= chosen.count("mixup") <= 30


@pytest.mark.parametrize(("word", "alpha"), [("mixup", 0.2), ("cutmix", 1.0)])
def test_defaults(word, alpha):
    assert attrs.asdict(bind(f"base resnet18; augment {word}").find(f"augment {word}").trick) == {"alpha": alpha}
