"""Micro-batches produce the gradient of the whole batch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recipe.training.objective import objective
from recipe.training.parts import parts
from tests.helpers import bind


@given(images=st.integers(1, 100), micro=st.one_of(st.none(), st.integers(2, 40)))
def test_micro_batches_cover_the_batch_and_have_at_least_two_images(images, micro):
    inputs, targets = torch.arange(images), -torch.arange(images)
    cut = parts(inputs, targets, micro)
    assert torch.equal(torch.cat([x for x, _ in cut]), inputs)
    assert torch.equal(torch.cat([y for _, y in cut]), targets)
    sizes = [len(x) for x, _ in cut]
    assert images == 1 or min(sizes) > 1
    assert micro is None or max(sizes) <= micro + 1
    assert len(cut) == 1 or set(sizes[:-1]) == {micro}


def gradient(text, images, micro):
    plan = bind(f"base resnet18; batch {images} micro {micro}; {text}")
    assert plan.training.micro == micro
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).double()
    inputs = torch.randn(images, 3, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 5, (images,), generator=generator)
    loss_of = objective(plan, {})
    for x, y in parts(inputs, labels, plan.training.micro):
        loss, _ = loss_of(model(x), y, x)
        (loss * (len(x) / images)).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.mark.parametrize(("images", "micro"), [(16, 4), (17, 4), (15, 4), (7, 6), (9, 2)])
def test_the_gradient_is_that_of_the_whole_batch(images, micro):
    whole = gradient("loss", images, images)
    # The loss is computed in fp32 even for outputs in double precision.
    torch.testing.assert_close(gradient("loss", images, micro), whole, rtol=1e-4, atol=1e-6)
