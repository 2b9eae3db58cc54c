"""A run, opened from its folder for export."""

from __future__ import annotations

import copy
import json
from functools import cached_property
from pathlib import Path

import attrs
import numpy as np
import torch
from torch import Tensor, fx, nn

from recipe.compiler.program import Program
from recipe.data.decode import Pixels
from recipe.inference.opened import opened
from recipe.inference.run import Run
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.provenance import Classes, Preprocessing


@attrs.frozen(eq=False, slots=False)
class SourceRun:
    """A run: its program, its trained model in evaluation mode on the CPU, and what it was trained on."""

    program: Program
    """The compiled recipe."""
    model: fx.GraphModule
    """The trained model in evaluation mode, on the CPU."""
    digest: str
    """The digest of its plan, as its recipe.lock states it."""
    classes: Classes
    """The classes that it was trained on."""
    preprocessing: Preprocessing
    """How images become its inputs."""
    note: str = ""
    """What may make the model another one than was trained, or empty."""

    @classmethod
    def of(cls, run: Run) -> SourceRun:
        """Return a run for export, with a copy of its model on the CPU."""
        model = copy.deepcopy(run.model).to(device="cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
        return cls(run.program, model, run.digest, run.classes, run.preprocessing, run.note)

    @property
    def base(self) -> str:
        """The name of the stock model."""
        return self.program.plan.model

    @property
    def size(self) -> int:
        """Height and width of an input in evaluation, in pixels."""
        return self.preprocessing.size

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, or empty unless every output has one."""
        return self.classes.names if len(self.classes.names) == self.program.classes else ()

    @cached_property
    def metadata(self) -> dict[str, str]:
        """Metadata for the weights, as text. Lists are JSON. Mean and std are per channel, for pixels in 0..1."""
        about = {
            "digest": self.digest,
            "recipe": self.program.plan.canonical(),
            "base": self.base,
            "image_size": str(self.size),
            "mean": json.dumps(self.preprocessing.mean),
            "std": json.dumps(self.preprocessing.std),
            "crop": json.dumps(self.preprocessing.crop),
            "interpolation": self.preprocessing.interpolation,
            "views": self.preprocessing.views,
            "orientation": self.preprocessing.orientation,
            "background": self.preprocessing.background,
            "classes": str(self.program.classes),
        }
        return about | ({"class_names": json.dumps(self.names)} if self.names else {})

    @cached_property
    def images(self) -> Tensor:
        """Four random inputs, the same in every export: (4, C, size, size)."""
        return torch.randn(
            4, len(self.preprocessing.mean), self.size, self.size, generator=torch.Generator().manual_seed(0)
        )

    @cached_property
    def pixels(self) -> tuple[Pixels, ...]:
        """Batches of random pixels of several sizes, the same in every export: uint8 (N, H, W, 3)."""
        draws, size = np.random.default_rng(0), self.size
        shapes = [(3, 7, 9), (1, 256, 256), (1, 375, 500), (1, size, size), (2, 2 * size + 1, 3 * size)]
        shapes += [(1, 4 * size, size + 1), (1, size // 2 + 1, 2 * size)]
        return tuple(draws.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes)

    @cached_property
    def logits(self) -> Tensor:
        """The logits of the run's own model for `images`: (4, K)."""
        return self.logits_of(self.model)

    def logits_of(self, model: nn.Module) -> Tensor:
        """Return a model's logits for `images`: (4, K)."""
        with torch.inference_mode():
            return model(self.images)  # type: ignore[no-any-return]


def open_run(folder: Path, vocabulary: Vocabulary, base: nn.Module | None = None) -> SourceRun:
    """Open the folder of a run for export. Raises `RecipeError` as `recipe.inference.opened.opened` does."""
    return SourceRun.of(opened(folder, vocabulary, base))
