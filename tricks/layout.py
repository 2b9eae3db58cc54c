"""layout channels-last|contiguous: memory layout of images and activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, choice, trick


@trick("layout", position=170, known_as={"memory-format": "", "nhwc": "channels-last", "nchw": "contiguous"})
class Layout(Trick):
    """Choose the memory layout. Channels-last is faster on CPUs and on GPUs with tensor cores."""

    order: str = choice("channels-last", "memory layout", of=("channels-last", "contiguous"))

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"channels_last": self.order == "channels-last"}
