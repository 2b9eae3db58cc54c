"""Gradient clipping, compared with torch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recipe.plugins.progress import Progress
from tests.helpers import bind, errors


def gradients(scale, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) * scale for shape in ((4, 3, 3, 3), (4,), (5, 4))]


def clipped(norm, found):
    (use,) = bind(f"base resnet18; clip {norm!r}").hooked("adjust")
    return use.trick.adjust(found, [torch.zeros_like(one) for one in found], Progress(0, 1, 1))


@given(norm=st.floats(0.01, 100), scale=st.sampled_from([0.0, 1e-6, 0.01, 1.0, 1e4]), seed=st.integers(0, 20))
def test_it_equals_clipping_of_torch(norm, scale, seed):
    parameters = [one.requires_grad_() for one in gradients(0.0)]
    for parameter, gradient in zip(parameters, gradients(scale, seed), strict=True):
        parameter.grad = gradient
    torch.nn.utils.clip_grad_norm_(parameters, norm)
    for mine, parameter in zip(clipped(norm, gradients(scale, seed)), parameters, strict=True):
        assert torch.equal(mine, parameter.grad)


def test_gradients_with_a_smaller_norm_are_unchanged():
    for mine, before in zip(clipped(1000.0, gradients(1.0)), gradients(1.0), strict=True):
        assert torch.equal(mine, before)


@pytest.mark.parametrize("norm", [0.1, 2.0])
def test_gradients_with_a_larger_norm_are_scaled_to_it(norm):
    found, before = (torch.cat([one.flatten() for one in of]) for of in (clipped(norm, gradients(9.0)), gradients(9.0)))
    torch.testing.assert_close(found, before / before.norm() * norm, rtol=1e-4, atol=1e-6)


def test_the_norm_is_required_and_must_be_above_zero():
    assert errors("base resnet18; clip") == ["E025"]
    assert errors("base resnet18; clip 0") == ["E024"]
