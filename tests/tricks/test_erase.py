"""Random erasing: its boxes, compared with torchvision's, and its pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, ks_2samp
from torchvision.transforms import v2

from recipe.data.draws import Draws
from recipe.tricks.augment_erase import ATTEMPTS, erase, erased, noise
from tests.helpers import bind


def boxes(count, height, width, area=(0.02, 0.4), aspect=1 / 0.3, seed=0):
    uniform = Draws(seed, 0, np.arange(count), 0, "augment erase").uniform(2 * ATTEMPTS + 2)
    return erased(uniform, height, width, area, aspect)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    area=st.floats(0.01, 1),
    aspect=st.floats(1, 5),
    seed=st.integers(0, 1000),
)
def test_boxes_are_inside_the_image(height, width, area, aspect, seed):
    top, left, tall, wide = boxes(50, height, width, (0.01, area), aspect, seed).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= height).all()
    assert (left + wide <= width).all()


@pytest.mark.parametrize(("height", "width"), [(224, 224), (120, 300)])
@pytest.mark.parametrize(("area", "aspect"), [((0.02, 0.33), 3.3), ((0.2, 0.5), 1.5)])
def test_boxes_have_the_distribution_of_torchvision(height, width, area, aspect):
    count = 3000
    ours = boxes(count, height, width, area, aspect)
    transform = v2.RandomErasing(p=1, scale=area, ratio=(1 / aspect, aspect))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.empty(3, height, width)
        params = [transform.make_params([image]) for _ in range(count)]
    theirs = np.array([[p["i"], p["j"], p["h"], p["w"]] for p in params], dtype=float)
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3


def test_only_the_box_is_filled():
    images = torch.rand(3, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    where = torch.tensor([[2.0, 3, 4, 5], [0, 0, 8, 1], [4, 4, 0, 0]])
    colours = torch.tensor([[0.1, 0.2, 0.3], [1, 1, 1], [0.5, 0.5, 0.5]])
    found = erase(images, where, colours[:, :, None, None])
    for image, (top, left, tall, wide), colour, result in zip(
        images, where.int().tolist(), colours, found, strict=True
    ):
        value = colour[:, None, None].expand(3, tall, wide)
        assert torch.equal(result, v2.functional.erase(image, top, left, tall, wide, value))


@pytest.mark.parametrize(("text", "part"), [("", 0.5), ("probability=0.1", 0.1), ("probability=1", 1.0)])
def test_the_share_of_erased_images_matches_the_probability(text, part):
    trick = bind(f"base resnet18; augment erase {text} fill=const").find("augment erase").trick
    images = torch.ones(2000, 3, 20, 20)
    found = trick.augment(images, Draws(0, 0, np.arange(2000), 0, "augment erase"))
    touched = (found != images).flatten(1).any(1).double().mean()
    assert touched == pytest.approx(part, abs=0.04)
    assert set(found.unique().tolist()) == {0.0, 1.0}


def filled(fill, count=50):
    """Return the pixels (3, M) in the box of each image."""
    trick = bind(f"base resnet18; augment erase probability=1 {fill}").find("augment erase").trick
    images = torch.full((count, 3, 20, 20), 2.0)
    found = trick.augment(images, Draws(0, 0, np.arange(count), 0, "augment erase"))
    return [image[:, (image != 2).all(0)] for image in found]


def test_each_pixel_of_a_box_has_its_own_random_color():
    """Zhong et al. 2017, algorithm 1: the box is filled with Rand(0, 255)."""
    boxes = filled("")
    values = torch.cat([box.flatten() for box in boxes]) * 255
    torch.testing.assert_close(values, values.round(), rtol=0, atol=1e-4)
    assert all(box.unique(dim=1).shape[1] == box.shape[1] for box in boxes if box.shape[1] < 100)
    assert chisquare(torch.bincount((values / 16).long(), minlength=16).numpy()).pvalue > 1e-3


def test_fill_can_be_one_color_per_box():
    colours = [tuple(box.unique(dim=1).flatten().tolist()) for box in filled("fill=rand")]
    assert all(len(colour) == 3 for colour in colours)
    assert len(set(colours)) == 50
    assert all(0 <= channel < 1 for colour in colours for channel in colour)


def test_noise_is_uniform_and_independent_between_pixels_channels_and_images():
    found = noise(torch.arange(64) * 77_777_777, 64, 64)
    assert found.shape == (64, 3, 64, 64)
    counts = torch.bincount((found * 255).round().long().flatten(), minlength=256)
    assert chisquare(counts.numpy()).pvalue > 1e-3
    for shifted in (found.roll(1, 0), found.roll(1, 1), found.roll(1, 2), found.roll(1, 3)):
        correlation = torch.corrcoef(torch.stack([found.flatten(), shifted.flatten()]))[0, 1]
        assert abs(correlation) < 5 / found.numel() ** 0.5


def test_noise_depends_on_the_key_of_the_image():
    keys = torch.tensor([0, 1, 2**32 - 1])
    assert torch.equal(noise(keys, 5, 7)[1:2], noise(keys[1:2], 5, 7))
    # The hash computed with Python integers: the three lowest bytes for the first pixel.
    x = 2**32 - 1
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x = (x ^ x >> shift) * factor % 2**32
    x ^= x >> 15
    assert (noise(keys, 5, 7)[2, :, 0, 0] * 255).round().tolist() == [x & 255, x >> 8 & 255, x >> 16 & 255]


def test_erasing_comes_after_color_changes():
    plan = bind("base resnet18; augment erase trivial pca-noise jitter crop")
    words = [use.word for use in plan.hooked("augment")]
    assert words == ["augment trivial", "augment jitter", "augment pca-noise", "augment erase"]
