"""The convolution at the input of a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recipe.graph.net import Net
from recipe.graph.trace import trace


class Reading(nn.Module):
    """A network whose forward reads something of its images before their convolution."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.conv, self.head = what, nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.what == "values":
            scale = images.mean()
            return self.head(self.conv(images).mean((2, 3))) * scale  # type: ignore[no-any-return]
        count = images.size(0) if self.what == "size" else images.shape[0]
        return self.head(self.conv(images).mean((2, 3)).reshape(count, 4))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("what", "found"), [("size", "conv"), ("shape", "conv"), ("values", None)])
def test_a_stem_is_found_if_others_read_only_the_shape_of_the_images(what: str, found: str | None) -> None:
    stem = Net(trace(Reading(what), "reading")).stem
    assert (stem and stem[0]) == found
