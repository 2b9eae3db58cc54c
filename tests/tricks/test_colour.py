"""Jitter, compared with torchvision's functions on float images, and PCA noise, compared with Krizhevsky's formula."""

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from recipe.data.draws import Draws
from recipe.tricks import augment_jitter as jitter
from recipe.tricks.augment_pca_noise import pca_noise
from tests.helpers import bind


def pictures():
    """Return random images, including gray, pure colors, black and white."""
    generator = torch.Generator().manual_seed(0)
    made = torch.rand(6, 3, 9, 7, generator=generator)
    made[0] = made[0, :1]  # gray
    made[1] = (made[1] > 0.5).float()  # corners of the color cube
    made[2], made[3] = 0, 1
    return made


FUNCTIONS = {
    "brightness": (jitter.adjust_brightness, tv.adjust_brightness, st.floats(0, 2)),
    "contrast": (jitter.adjust_contrast, tv.adjust_contrast, st.floats(0, 2)),
    "saturation": (jitter.adjust_saturation, tv.adjust_saturation, st.floats(0, 2)),
    "hue": (jitter.adjust_hue, tv.adjust_hue, st.floats(-0.5, 0.5)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(data=st.data())
def test_each_change_equals_that_of_torchvision(name, data):
    ours, theirs, factors = FUNCTIONS[name]
    chosen = data.draw(st.lists(factors, min_size=6, max_size=6))
    images = pictures()
    found = ours(images, torch.tensor(chosen, dtype=torch.float32))
    expected = torch.stack([theirs(image, factor) for image, factor in zip(images, chosen, strict=True)])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_neutral_factor_changes_nothing(name):
    neutral = torch.full((6,), 0.0 if name == "hue" else 1.0)
    torch.testing.assert_close(FUNCTIONS[name][0](pictures(), neutral), pictures(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("dialect", "values"),
    [
        ("paper", {"brightness": 0.4, "contrast": 0.0, "saturation": 0.4, "hue": 0.2}),
        ("gluoncv", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.0}),
        ("torchvision", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.0}),
    ],
)
def test_dialects_differ_in_hue_and_contrast(dialect, values):
    assert (
        attrs.asdict(bind(f"base resnet18; dialect {dialect}; augment jitter").find("augment jitter").trick) == values
    )


class Given(Draws):
    """Draws with fixed values."""

    def uniform(self, columns=1):
        return np.tile(np.linspace(0, 1, len(self.indices))[:, None], (1, columns))

    def normal(self, columns=1):
        return np.arange(len(self.indices) * columns, dtype=float).reshape(-1, columns) - 4


@pytest.mark.parametrize(
    "amounts", [(0.4, 0, 0.4, 0.2), (0.4, 0.4, 0.4, 0), (0, 0, 0, 0.5), (1, 1, 1, 0.1), (0, 0, 0, 0)]
)
def test_jitter_applies_its_changes_one_after_the_other(amounts):
    words = " ".join(f"{name}={amount}" for name, amount in zip(FUNCTIONS, amounts, strict=True))
    trick = bind(f"base resnet18; augment jitter {words}").find("augment jitter").trick
    found = trick.augment(pictures(), Given(0, 0, np.arange(6), 0))
    for image, signed, result in zip(pictures(), np.linspace(-1, 1, 6), found, strict=True):
        for (name, (_, theirs, _)), amount in zip(FUNCTIONS.items(), amounts, strict=True):
            image = theirs(image, float(amount * signed + (name != "hue")))
        torch.testing.assert_close(result, image, rtol=0, atol=5e-5)


def krizhevsky(image, alpha):
    """Add [p1, p2, p3] [a1 l1, a2 l2, a3 l3]^T to each pixel of an image (H, W, 3) with values in [0, 255]."""
    values = np.array([55.46, 4.794, 1.148])
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    return image + vectors @ (alpha * values)


def test_pca_noise_matches_the_formula_of_krizhevsky():
    images = pictures().double()
    alpha = np.random.default_rng(0).normal(0, 0.1, (6, 3))
    found = pca_noise(images, torch.from_numpy(alpha))
    for image, a, result in zip(images, alpha, found, strict=True):
        expected = krizhevsky(image.permute(1, 2, 0).numpy() * 255, a) / 255
        np.testing.assert_allclose(result.permute(1, 2, 0).numpy(), expected, rtol=0, atol=1e-9)


def test_pca_noise_scales_normal_draws_by_the_standard_deviation():
    trick = bind("base resnet18; augment pca-noise").find("augment pca-noise").trick
    draws = Given(0, 0, np.arange(6), 0)
    found = trick.augment(pictures(), draws)
    torch.testing.assert_close(found, pca_noise(pictures(), torch.from_numpy(draws.normal(3) * 0.1).float()))
