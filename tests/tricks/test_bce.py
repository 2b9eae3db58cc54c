"""Binary cross entropy, with smoothing, threshold and sum over classes, compared with timm's."""

import pytest
import torch
import torch.nn.functional as F
from timm.loss import BinaryCrossEntropy

from recipe.training.objective import objective
from tests.helpers import bind, errors

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(8, 6, generator=GENERATOR) * 3
LABELS = torch.randint(0, 6, (8,), generator=GENERATOR)
MIXED = F.softmax(torch.randn(8, 6, generator=GENERATOR), 1)
IMAGES = torch.zeros(8, 3, 4, 4)


def loss(text, targets, outputs=LOGITS, base="resnet18"):
    plan = bind(f"base {base}; {text}")
    if targets.ndim == 1 and plan.find("loss smooth"):
        targets = plan.find("loss smooth").trick.smooth_targets(F.one_hot(targets, 6).float())
    return objective(plan, {})(outputs, targets, IMAGES)[0]


@pytest.mark.parametrize("targets", [LABELS, MIXED], ids=["labels", "distributions"])
@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("loss bce", {}),
        ("loss bce sum", {"sum_classes": True}),
        ("loss bce threshold=0.2", {"target_threshold": 0.2}),
        ("loss bce sum threshold=0.2", {"sum_classes": True, "target_threshold": 0.2}),
    ],
)
def test_it_equals_the_loss_of_timm(text, options, targets):
    torch.testing.assert_close(loss(text, targets), BinaryCrossEntropy(smoothing=0, **options)(LOGITS, targets))


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("threshold", [None, 0.05, 0.2])
def test_the_loss_of_smoothed_targets_equals_that_of_timm(epsilon, threshold):
    text = f"loss smooth {epsilon} over=all bce" + (f" threshold={threshold}" if threshold else "")
    expected = BinaryCrossEntropy(smoothing=epsilon, target_threshold=threshold)(LOGITS, LABELS)
    torch.testing.assert_close(loss(text, LABELS), expected)


def test_it_applies_to_auxiliary_heads():
    aux = MIXED * 4
    expected = sum(w * F.binary_cross_entropy_with_logits(head, MIXED) for w, head in ((1, LOGITS), (0.3, aux)))
    torch.testing.assert_close(loss("loss 0.3 bce", MIXED, (LOGITS, aux), base="googlenet"), expected)


def test_the_loss_of_half_precision_logits_is_computed_in_fp32():
    assert loss("loss bce", LABELS, LOGITS.half()).dtype == torch.float32


def test_the_gradient_pushes_the_true_class_up_and_the_others_down():
    logits = LOGITS.clone().requires_grad_()
    loss("loss bce", LABELS, logits).backward()
    assert torch.equal(logits.grad < 0, F.one_hot(LABELS, 6).bool())


def test_targets_are_smoothed_and_mixed_before_the_loss():
    words = [use.word for use in bind("base resnet18; loss bce smooth; augment mixup cutmix").uses]
    assert words.index("loss smooth") < words.index("augment mixup") < words.index("loss bce")


def test_a_threshold_of_1_is_rejected():
    assert errors("base resnet18; loss bce threshold=1") == ["E024"]
