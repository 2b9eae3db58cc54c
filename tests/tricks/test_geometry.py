"""Random crops and flips: their distributions, limits and pixels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from recipe.data.draws import Draws
from recipe.data.images import crop
from recipe.tricks.augment_crop import ATTEMPTS, random_boxes
from tests.helpers import bind


def boxes(count, height, width, area=0.08, aspect=4 / 3, seed=0):
    uniform = Draws(seed, 0, np.arange(count), 0, "crop").uniform(2 * ATTEMPTS + 2)
    return random_boxes(uniform, np.full(count, float(height)), np.full(count, float(width)), area, aspect)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    area=st.floats(0.01, 1),
    aspect=st.floats(1, 5),
    seed=st.integers(0, 1000),
)
def test_boxes_are_inside_the_image(height, width, area, aspect, seed):
    top, left, high, wide = boxes(50, height, width, area, aspect, seed).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (high >= 1).all()
    assert (wide >= 1).all()
    assert (top + high <= height).all()
    assert (left + wide <= width).all()
    assert all((values == np.round(values)).all() for values in (top, left, high, wide))


@pytest.mark.parametrize(("height", "width"), [(224, 224), (375, 500), (500, 333), (60, 240)])
@pytest.mark.parametrize(("area", "aspect"), [(0.08, 4 / 3), (0.5, 2.0)])
def test_boxes_have_the_distribution_of_torchvision(height, width, area, aspect):
    from scipy.stats import ks_2samp

    count = 3000
    ours = boxes(count, height, width, area, aspect)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.empty(3, height, width)
        get = v2.RandomResizedCrop(8, scale=(area, 1.0), ratio=(1 / aspect, aspect)).make_params
        params = [get([image]) for _ in range(count)]
    theirs = np.array([[p["top"], p["left"], p["height"], p["width"]] for p in params])
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.03 * max(height, width))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(10, 100, (0, 43, 10, 13)), (100, 10, (43, 0, 13, 10)), (90, 100, (0, 0, 90, 100))],
)
def test_if_no_box_fits_the_largest_centered_one_is_used(height, width, expected):
    # A box with the area of the image fits only at the aspect of the image.
    uniform = np.zeros((1, 2 * ATTEMPTS + 2))
    sides = np.array([float(height)]), np.array([float(width)])
    assert tuple(random_boxes(uniform, *sides, 1.0, 4 / 3)[0]) == expected


def ramp(count=3, height=12, width=16):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_a_box_of_the_whole_image_changes_nothing():
    images = ramp()
    torch.testing.assert_close(crop(images, np.array([[0.0, 0, 12, 16]] * 3)), images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("box", [(0, 0, 6, 8), (6, 8, 6, 8), (3, 5, 6, 8), (2, 2, 4, 4), (0, 4, 12, 8), (1, 0, 3, 16)])
def test_an_integer_box_equals_a_crop_and_resize_with_torch(box):
    top, left, high, wide = box
    images = ramp()
    found = crop(images, np.array([box] * 3, float))
    cut = images[:, :, top : top + high, left : left + wide]
    expected = F.interpolate(cut, (12, 16), mode="bilinear", align_corners=False)
    # At the border, torch repeats the last pixel of the crop; ours uses its neighbor. They differ in half a crop pixel.
    y, x = -(-12 // (2 * high)) if high < 12 else 0, -(-16 // (2 * wide)) if wide < 16 else 0
    inner = (..., slice(y, 12 - y), slice(x, 16 - x))
    torch.testing.assert_close(found[inner], expected[inner], rtol=0, atol=1e-5)


def test_each_image_has_its_own_box():
    images = ramp()
    given_ = np.array([[0.0, 0, 12, 16], [3, 4, 6, 8], [1, 1, 10, 10]])
    together = crop(images, given_)
    alone = torch.cat([crop(images[k : k + 1], given_[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_images_are_flipped_from_left_to_right():
    images = ramp(200)
    trick = bind("base resnet18; augment flip").find("augment flip").trick
    assert trick.probability == 0.5
    found = trick.augment(images, Draws(0, 0, np.arange(200), 0, "augment flip"))
    flipped = torch.tensor(
        [torch.equal(a, v2.functional.horizontal_flip(b)) for a, b in zip(found, images, strict=True)]
    )
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(found, images, strict=True)])
    assert (flipped ^ kept).all()
    assert 70 < flipped.sum() < 130


@pytest.mark.parametrize(("probability", "expected"), [(0, lambda images: images), (1, v2.functional.horizontal_flip)])
def test_flips_with_probability_0_and_1(probability, expected):
    trick = bind(f"base resnet18; augment flip {probability}").find("augment flip").trick
    found = trick.augment(ramp(), Draws(0, 0, np.arange(3), 0, "augment flip"))
    torch.testing.assert_close(found, expected(ramp()), rtol=0, atol=0)
