"""Random erasing: its boxes against torchvision's, and the pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torchvision.transforms import v2

from recipe.draws import Draws
from recipe.tricks.augment_erase import ATTEMPTS, erase, erased
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
def test_a_box_lies_inside_its_image(height, width, area, aspect, seed):
    top, left, tall, wide = boxes(50, height, width, (0.01, area), aspect, seed).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= height).all()
    assert (left + wide <= width).all()


@pytest.mark.parametrize(("height", "width"), [(224, 224), (120, 300)])
@pytest.mark.parametrize(("area", "aspect"), [((0.02, 0.33), 3.3), ((0.2, 0.5), 1.5)])
def test_boxes_are_distributed_as_torchvisions(height, width, area, aspect):
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


def test_the_box_is_filled_and_nothing_else():
    images = torch.rand(3, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    where = torch.tensor([[2.0, 3, 4, 5], [0, 0, 8, 1], [4, 4, 0, 0]])
    colours = torch.tensor([[0.1, 0.2, 0.3], [1, 1, 1], [0.5, 0.5, 0.5]])
    found = erase(images, where, colours)
    for image, (top, left, tall, wide), colour, result in zip(
        images, where.int().tolist(), colours, found, strict=True
    ):
        value = colour[:, None, None].expand(3, tall, wide)
        assert torch.equal(result, v2.functional.erase(image, top, left, tall, wide, value))


@pytest.mark.parametrize(("text", "part"), [("", 0.5), ("probability=0.1", 0.1), ("probability=1", 1.0)])
def test_how_many_images_are_erased(text, part):
    trick = bind(f"base resnet18; augment erase {text} fill=black").find("augment erase").trick
    images = torch.ones(2000, 3, 20, 20)
    found = trick.augment(images, Draws(0, 0, np.arange(2000), 0, "augment erase"))
    touched = (found != images).flatten(1).any(1).double().mean()
    assert touched == pytest.approx(part, abs=0.04)
    assert set(found.unique().tolist()) == {0.0, 1.0}


def test_each_box_has_one_colour_of_its_own():
    trick = bind("base resnet18; augment erase probability=1").find("augment erase").trick
    images = torch.full((50, 3, 20, 20), 2.0)
    found = trick.augment(images, Draws(0, 0, np.arange(50), 0, "augment erase"))
    colours = [tuple(image[:, (image != 2).all(0)].unique(dim=1).flatten().tolist()) for image in found]
    assert all(len(colour) == 3 for colour in colours)
    assert len(set(colours)) == 50
    assert all(0 <= channel < 1 for colour in colours for channel in colour)


def test_colours_are_erased_after_they_are_changed():
    plan = bind("base resnet18; augment erase trivial pca-noise jitter crop")
    words = [use.word for use in plan.hooked("augment")]
    assert words == ["augment trivial", "augment jitter", "augment pca-noise", "augment erase"]
