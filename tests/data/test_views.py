"""Views: which parts of an image they are, and how their predictions are averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as F

from recipe.data.views import averaged, boxes_of, crops_of


def corner(inputs: Tensor) -> Tensor:
    """Return two logits of each input: the value of its first pixel, and 0."""
    first = inputs[:, 0, 0, 0]
    return torch.stack((first, torch.zeros_like(first)), 1)


@pytest.mark.parametrize(
    ("views", "firsts"),
    [
        ("single", [[1.0], [2.0]]),
        ("flip", [[1.0, 5.0], [2.0, -3.0]]),
        ("five-crop", [[1.0, 2.0, 0.5, 0.0, -1.0], [3.0, 1.0, 1.0, 2.0, 0.0]]),
        ("ten-crop", [[1.0, 5.0, 0.0, 2.0, 3.0, 3.0, -1.0, 0.0, 2.0, 4.0]]),
    ],
)
def test_probabilities_are_averaged(views: str, firsts: list[list[float]]) -> None:
    """Each image has crops whose first and last pixel of a row are the logits of the crop and of its mirror image."""
    flips = views in ("flip", "ten-crop")
    inputs = torch.tensor([[each[at], each[-1 if len(each) == 1 else at + flips]] for each in firsts
                           for at in range(0, len(each), 1 + flips)]).view(-1, 1, 1, 2)  # fmt: skip
    assert len(inputs) == len(firsts) * crops_of(views)
    found = averaged(corner, inputs, views).softmax(1)[:, 0]
    by_hand = [np.mean([1 / (1 + np.exp(-value)) for value in each]) for each in firsts]
    assert found.tolist() == pytest.approx(by_hand)


def test_a_single_view_keeps_the_bits_of_the_logits() -> None:
    inputs = torch.randn(3, 1, 2, 2)
    assert torch.equal(averaged(corner, inputs, "single"), corner(inputs))


def test_five_crops_are_those_of_torchvision() -> None:
    image = torch.arange(3 * 64 * 80).view(3, 64, 80)
    theirs = F.five_crop(image, [48, 48])
    boxes = [box(64, 80) for box in boxes_of("five-crop", 0.75)]
    ours = [image[:, int(t) : int(t + h), int(left) : int(left + w)] for t, left, h, w in boxes]
    assert torch.equal(ours[0], theirs[4])
    for mine, other in zip(ours[1:], theirs[:4], strict=True):
        assert torch.equal(mine, other)
    assert len(boxes_of("ten-crop", 0.75)) == 5
    assert len(boxes_of("flip", 0.75)) == 1
