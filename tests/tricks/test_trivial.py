"""TrivialAugment: torchvision's implementation, with independent random numbers for each image."""

import attrs
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import TrivialAugmentWide

from recipe.data.draws import Draws
from recipe.tricks.augment_trivial import trivial
from tests.helpers import bind

PIXELS = torch.randint(0, 256, (40, 3, 24, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IMAGES = PIXELS.float() / 255
DRAWS = Draws(0, 2, np.arange(40) * 7, 5, "augment trivial")


@pytest.mark.parametrize("bins", [2, 31])
def test_it_equals_that_of_torchvision_for_the_same_seed(bins):
    found = trivial(IMAGES, list(range(40)), bins)
    for seed, pixels, result in zip(range(40), PIXELS, found, strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            assert torch.equal(result, TrivialAugmentWide(num_magnitude_bins=bins)(pixels) / 255)


def augmented(images, draws):
    return bind("base resnet18; augment trivial").find("augment trivial").trick.augment(images, draws)


def test_most_images_are_changed():
    changed = (augmented(IMAGES, DRAWS) != IMAGES).flatten(1).any(1)
    assert 25 < changed.sum() < 40  # 1 of 14 operations changes nothing, and some changes are weak


def test_the_augmentation_of_an_image_does_not_depend_on_its_batch():
    whole = augmented(IMAGES, DRAWS)
    mixed = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert torch.equal(
        augmented(IMAGES[mixed], attrs.evolve(DRAWS, indices=DRAWS.indices[mixed.numpy()])), whole[mixed]
    )
    assert torch.equal(augmented(IMAGES[7:8], attrs.evolve(DRAWS, indices=DRAWS.indices[7:8], step=9)), whole[7:8])
    assert not torch.equal(augmented(IMAGES, attrs.evolve(DRAWS, epoch=3)), whole)


def test_inputs_and_random_state_are_unchanged():
    before, state = IMAGES.clone(), torch.get_rng_state()
    found = augmented(IMAGES, DRAWS)
    assert torch.equal(IMAGES, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.dtype, found.shape) == (IMAGES.dtype, IMAGES.shape)
    assert ((found >= 0) & (found <= 1)).all()
