"""The functions that a traced graph calls where a model behaves differently in training and in evaluation."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

MODE = "mode_"
"""How the name of a module that only has a mode begins."""


def only_in_training(module: nn.Module, *inputs: torch.Tensor) -> Any:
    """Return the output of an auxiliary head in training; in evaluation, skip it and return None."""
    return module(*inputs) if module.training else None


def has_aux_heads(graph: nn.Module) -> bool:
    """Whether a traced model has auxiliary heads."""
    return isinstance(graph, fx.GraphModule) and any(node.target is only_in_training for node in graph.graph.nodes)


def outputs(logits: torch.Tensor, *aux: torch.Tensor | None) -> Any:
    """Return the logits in evaluation, and a tuple of them and the auxiliary heads' logits in training."""
    return logits if aux[0] is None else (logits, *aux)


def by_mode(mode: nn.Module, training: Any, evaluation: Any) -> Any:
    """Choose a value by mode, for calls that depend on it, such as `F.dropout(x, p, self.training)`."""
    return training if mode.training else evaluation
