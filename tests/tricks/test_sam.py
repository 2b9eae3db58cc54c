"""Sharpness-aware minimization, compared with the algorithm of Foret et al."""

import copy

import pytest
import torch
import torch.nn.functional as F

from tests.helpers import bind
from tests.runtimes import InFormat
from tests.tricks.steps import replacing, steps

RECIPE = "batch 8; epochs 2; lr 0.05; decay 0.01; optimizer sgd; sam"


def gradients(model, images, labels, micro):
    model.zero_grad()
    for x, y in zip(images.split(micro), labels.split(micro), strict=True):
        (F.cross_entropy(model(x), y) * len(x) / len(images)).backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def by_hand(model, batches, radius, micro):
    """Yield the states after each step, in double precision because a ReLU's gradient jumps at zero."""
    model.double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    for images, labels in batches:
        images = images.double()
        first = gradients(model, images, labels, micro)
        buffers = copy.deepcopy(dict(model.named_buffers()))
        norm = torch.cat([gradient.flatten() for gradient in first]).norm()
        before = copy.deepcopy(list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), first, strict=True):
                parameter += radius * gradient / norm
        gradients(model, images, labels, micro)
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), before, strict=True):
                parameter.copy_(value)
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
        optimizer.step()
        yield model.state_dict()


@pytest.mark.parametrize("micro", [8, 4])
@pytest.mark.parametrize("radius", [0.05, 0.5])
def test_each_step_matches_the_paper(tmp_path, radius, micro):
    found = steps(tmp_path / "run", f"{RECIPE} {radius}; batch micro {micro}")
    states = by_hand(found.start.train(), found.batches, radius, micro)
    for mine, expected in zip(found.after, states, strict=True):
        for name, tensor in expected.items():
            torch.testing.assert_close(mine[name].to(tensor), tensor, rtol=1e-5, atol=1e-6)


def test_running_statistics_match_a_training_without_sam(tmp_path):
    """This compares only the first step because the weights differ after it."""
    one, other = (steps(tmp_path / str(n), text) for n, text in enumerate((RECIPE, RECIPE.replace("; sam", ""))))
    first, second = one.after[0], other.after[0]
    assert torch.equal(first["layer1.bn1.running_mean"], second["layer1.bn1.running_mean"])
    assert first["layer1.bn1.num_batches_tracked"] == 1
    assert not torch.equal(first["layer1.conv1.weight"], second["layer1.conv1.weight"])


@pytest.mark.parametrize("text", ["sam 0.1", "clip 0.5", "sam 0.1; clip 0.5"])
def test_a_loss_scaler_changes_nothing(tmp_path, text):
    """The scale is a power of two within the range of bf16, so every bit is the same."""
    ends = []
    for scaled in (False, True):
        recipe = f"batch 8; batch micro 4; epochs 2; lr 0.05; precision bf16; {text}"
        found = steps(tmp_path / str(scaled), recipe, runtime=InFormat(torch.bfloat16, scaled))
        ends.append(found.after[-1])
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]), name


def test_a_scale_that_makes_gradients_infinite_changes_no_weights(tmp_path):
    recipe = "batch 8; epochs 2; lr 0.05; precision fp16; sam"
    found = steps(tmp_path / "run", recipe, runtime=InFormat(torch.float16, True))
    assert all(tensor.isfinite().all() for state in found.after for tensor in state.values())


def test_the_perturbation_has_the_length_of_the_radius():
    (use,) = bind("base resnet18; sam 0.3").hooked("perturb")
    generator = torch.Generator().manual_seed(0)
    found = [torch.randn(shape, generator=generator) for shape in ((4, 3), (7,))]
    moved = use.trick.perturb([torch.zeros_like(one) for one in found], found)
    torch.testing.assert_close(torch.cat([one.flatten() for one in moved]).norm(), torch.tensor(0.3))
    flat = [torch.cat([one.flatten() for one in of]) for of in (moved, found)]
    torch.testing.assert_close(F.cosine_similarity(*flat, dim=0), torch.tensor(1.0))
    nothing = use.trick.perturb(found, [torch.zeros_like(one) for one in found])
    assert not any(one.any() for one in nothing)


def test_statistics_are_restored_even_if_their_tensors_are_replaced(tmp_path):
    texts = (RECIPE, RECIPE.replace("; sam", ""))
    one, other = (steps(tmp_path / str(n), text, replacing()) for n, text in enumerate(texts))
    assert torch.equal(one.after[0]["1.running_mean"], other.after[0]["1.running_mean"])
    assert not torch.equal(one.after[0]["5.weight"], other.after[0]["5.weight"])
