"""What hooks return is checked: dtype, device and range, and if a training diverges, finite values."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

import recipe
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import Diverged, RecipeError
from recipe.plugins.vocabulary import Vocabulary
from tests.durability.trials import small

HOOK = '''
"""focus: a hook of a training."""
import numpy as np
import torch
from recipe.api import Trick, trick


class _Break(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.nan


@trick("focus", writes=("{slot}",))
class Focus(Trick):
    """Do something."""

    def {head}:
        {body}
'''

TEXT = "data fake size=32 classes=10 images=16; batch 8; epochs 2; lr 0.05; optimizer sgd; focus"

HEADS = {
    "augment": ("inputs", "augment(self, images, draws)", "images"),
    "smooth_targets": ("targets", "smooth_targets(self, targets)", "targets"),
    "mix": ("mix", "mix(self, images, targets, draws)", "images"),
    "loss": ("loss", "loss(self, logits, targets)", "logits"),
    "loss_term": ("loss terms", "loss_term(self, context)", "context.logits"),
    "perturb": ("perturbation", "perturb(self, weights, gradients)", "weights"),
    "adjust": ("grads", "adjust(self, gradients, weights, progress)", "gradients"),
    "average": ("average", "average(self, averages, weights, progress)", "averages"),
    "lr_factor": ("lr", "lr_factor(self, progress)", "progress"),
    "crop_box": ("crop", "crop_box(self, draws, heights, widths)", "heights"),
    "resolution": ("resolution", "resolution(self, side, progress)", "side"),
    "optimize": ("optimizer", "optimize(self, groups, rate)", "groups"),
}


def failing(hook: str, body: str, folder: Path, text: str = TEXT) -> tuple[RecipeError, Diagnostic]:
    """Return the error of a training with a trick whose hook has this body."""
    slot, head, _ = HEADS[hook]
    (folder / "focus.py").write_text(HOOK.format(slot=slot, head=head, body=body.replace("; ", "\n        ")))
    words = Vocabulary.installed([folder / "focus.py"])
    if slot == "optimizer":
        text = text.replace("optimizer sgd; ", "")
    with pytest.raises(RecipeError) as caught:
        recipe.run(recipe.compile(text, base=small(), plugins=words), out=folder / "run", device="cpu", plugins=words)
    (error,) = caught.value.diagnostics
    assert error.span is not None
    assert error.span.text == "focus"
    return caught.value, error


CHANGES = {
    ".double()": "torch.float64 on cpu",
    ".half()": "torch.float16 on cpu",
    ".to('meta')": "torch.float32 on meta",
    ".clone().requires_grad_()": "torch.float32 on cpu with a gradient",
    "[1:]": "",
}
TENSORS = {
    "augment": "return images{}",
    "smooth_targets": "return targets{}",
    "mix": "return images{}, targets",
    "perturb": "return [one{} for one in weights]",
    "adjust": "return [one{} for one in gradients]",
}


@pytest.mark.parametrize(("hook", "change"), [*itertools.product(TENSORS, CHANGES)])
def test_tensors_of_another_kind(hook: str, change: str, tmp_path: Path) -> None:
    _, error = failing(hook, TENSORS[hook].format(change), tmp_path)
    assert error.code == "E080"
    assert error.message.startswith(f"`focus` from {tmp_path / 'focus.py'} is broken: {hook}: must return ")
    assert CHANGES[change] in error.message


@pytest.mark.parametrize(
    ("hook", "body"),
    [
        ("loss", "return logits.square().mean().detach()"),
        ("loss", "return logits.square().mean().to('meta')"),
        ("loss", "return logits.square().mean()[None]"),
        ("loss", "return logits.argmax()"),
        ("loss_term", "return context.logits.square().mean().to('meta')"),
        ("loss_term", "return context.logits.square().mean()[None]"),
        ("loss_term", "return context.logits.argmax()"),
        ("augment", "with torch.inference_mode(): return images * 1"),
        ("lr_factor", "return float('nan')"),
        ("lr_factor", "return float('inf')"),
        ("lr_factor", "return -1.0"),
        ("crop_box", "return np.full((len(heights), 4), np.nan)"),
        ("crop_box", "return np.zeros((len(heights), 4))"),
        ("crop_box", "return np.ones((len(heights), 4), bool)"),
        ("resolution", "return True"),
        ("resolution", "return 0"),
    ],
)
def test_values_out_of_range(hook: str, body: str, tmp_path: Path) -> None:
    _, error = failing(hook, body, tmp_path)
    assert error.code == "E080"
    assert error.message.startswith(f"`focus` from {tmp_path / 'focus.py'} is broken: {hook}: must return ")


@pytest.mark.parametrize(
    "body",
    [
        "return torch.optim.SGD(groups[:1], rate)",
        "return torch.optim.SGD([{'params': group['params']} for group in groups], rate)",
        "return torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], rate)",
    ],
)
def test_an_optimizer_of_other_parameters(body: str, tmp_path: Path) -> None:
    _, error = failing("optimize", body, tmp_path, f"{TEXT}; decay no-bias")
    assert error.code == "E080"
    assert "is broken: optimize: the groups of the optimizer must have all given parameters" in error.message


NAN = {
    "augment": "return images * torch.nan",
    "smooth_targets": "return targets + torch.inf",
    "mix": "return images, targets * torch.nan",
}


@pytest.mark.parametrize("hook", NAN)
def test_a_batch_that_is_not_finite_is_an_error_in_the_trick(hook: str, tmp_path: Path) -> None:
    kind, error = failing(hook, NAN[hook], tmp_path)
    said = f"`{hook}` of `focus` from {tmp_path / 'focus.py'} returned values that are not finite"
    assert (isinstance(kind, Diverged), error.code) == (False, "E080")
    assert error.message == f"{said}, although its arguments are"


@pytest.mark.parametrize(
    ("hook", "body", "what"),
    [
        ("loss", "return logits.mean() * torch.nan", "the loss is nan"),
        ("loss_term", "return context.logits.mean() + torch.inf", "the loss is inf"),
        ("perturb", "return [weight * torch.nan for weight in weights]", "the loss is nan"),
        ("adjust", "return [one * torch.nan for one in gradients]", "the gradient of `"),
        ("adjust", "gradients[0].fill_(torch.nan); return gradients", "the gradient of `"),
    ],
)
def test_a_training_that_a_trick_makes_diverge_names_it(hook: str, body: str, what: str, tmp_path: Path) -> None:
    kind, error = failing(hook, body, tmp_path)
    assert (isinstance(kind, Diverged), error.code) == (True, "E112")
    assert error.message.startswith(f"training diverged at step 1: {what}")
    said = f"`{hook}` of `focus` from {tmp_path / 'focus.py'} returned values that are not finite"
    assert error.message.endswith(f"; {said}, although its arguments are")
    assert "fix the trick or remove it" in error.help


def test_an_average_that_is_not_finite_names_its_trick(tmp_path: Path) -> None:
    kind, error = failing("average", "[one.fill_(torch.nan) for one in averages]", tmp_path)
    assert (isinstance(kind, Diverged), error.code) == (True, "E112")
    assert f"the average by `focus` from {tmp_path / 'focus.py'} is not finite" in error.message


def test_a_trick_that_is_given_values_that_are_not_finite_is_not_named(tmp_path: Path) -> None:
    head, body = "loss(self, logits, targets)", "return logits.mean()"
    (tmp_path / "focus.py").write_text(HOOK.format(slot="loss", head=head, body=body))
    words = Vocabulary.installed([tmp_path / "focus.py"])
    program = recipe.compile(f"{TEXT}; clip 1", base=small(), plugins=words)
    with torch.no_grad():
        program.model.get_parameter("conv1.weight").fill_(torch.nan)
    with pytest.raises(Diverged) as caught:
        recipe.run(program, out=tmp_path / "run", device="cpu", plugins=words)
    (error,) = caught.value.diagnostics
    assert (error.message, error.span) == ("training diverged at step 1: the loss is nan", None)
    assert "try a lower learning rate or a longer warmup" in error.help
