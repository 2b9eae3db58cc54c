"""Metrics of trainings and evaluations, compared with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from recipe.devices.distributed import Ranks
from recipe.training.meters import Meter

CLASSES = 12


@pytest.fixture
def parts() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return logits and labels of several batches with different sizes."""
    generator = torch.Generator().manual_seed(0)
    sizes = (7, 32, 1, 60)
    return [
        (torch.randn(size, CLASSES, generator=generator), torch.randint(0, CLASSES, (size,), generator=generator))
        for size in sizes
    ]


@pytest.mark.parametrize("distributions", [False, True])
def test_loss_top_1_and_top_5_are_means_over_images(
    parts: list[tuple[torch.Tensor, torch.Tensor]], distributions: bool
) -> None:
    meter = Meter.on(torch.device("cpu"), top5=True)
    for logits, labels in parts:
        targets = torch.nn.functional.one_hot(labels, CLASSES).float() if distributions else labels
        meter.add(torch.nn.functional.cross_entropy(logits, targets), logits, targets)
    found = meter.read(Ranks())
    logits, labels = (torch.cat(kind).numpy() for kind in zip(*parts, strict=True))
    every = np.arange(CLASSES)
    assert found["top1"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert found["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=every))
    chances = torch.from_numpy(logits).double().softmax(1).numpy()
    assert found["loss"] == pytest.approx(log_loss(labels, chances, labels=every), rel=1e-5)


def test_a_restored_meter_includes_earlier_images_but_counts_only_new_ones_as_fresh() -> None:
    logits, labels = torch.eye(CLASSES), torch.arange(CLASSES)
    before = Meter.on(torch.device("cpu"))
    before.add(torch.tensor(2.0), logits, labels)
    meter = Meter.on(torch.device("cpu"))
    meter.restore(before.state())
    meter.add(torch.tensor(5.0), logits[:6], labels[:6].flip(0))
    assert meter.read(Ranks()) == {"loss": (12 * 2 + 6 * 5) / 18, "top1": 12 / 18}
    assert meter.fresh == 6
