"""Weights alone: the state dict of the rewritten model, and what is needed to use it as text beside it."""

from __future__ import annotations

import copy

import torch
from safetensors.torch import load

from recipe.exporters.source_run import SourceRun
from recipe.runs.checkpoints import packed


def make(run: SourceRun) -> tuple[tuple[bytes], torch.Tensor]:
    """The file, and the logits of what can be loaded from it."""
    content = packed(run.model.state_dict(), run.metadata)
    model = copy.deepcopy(run.model)
    model.load_state_dict(load(content))
    with torch.inference_mode():
        return (content,), model(run.images)
