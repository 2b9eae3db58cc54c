"""From a module to one torch.fx graph that is right in training and in evaluation."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torchvision.models.swin_transformer import ShiftedWindowAttention, ShiftedWindowAttentionV2
from torchvision.ops import StochasticDepth

from recipe.diagnostics import fail

# Modules whose own code asks whether they train: traced through, the answer would be frozen into the graph.
MODAL = (StochasticDepth, ShiftedWindowAttention, ShiftedWindowAttentionV2)


def only_in_training(module: nn.Module, *inputs: torch.Tensor) -> Any:
    """What an auxiliary head gives in training; nothing in evaluation, where it is not computed."""
    return module(*inputs) if module.training else None


def outputs(logits: torch.Tensor, *aux: torch.Tensor | None) -> Any:
    """The logits alone in evaluation; in training a tuple of them and of the auxiliary heads' logits."""
    return logits if aux[0] is None else (logits, *aux)


class _Tracer(fx.Tracer):
    def __init__(self, leaves: frozenset[str]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            module_qualified_name in self.leaves
            or isinstance(m, MODAL)
            or super().is_leaf_module(m, module_qualified_name)
        )


def _trace(module: nn.Module, name: str, leaves: frozenset[str] = frozenset()) -> fx.Graph:
    try:
        return _Tracer(leaves).trace(module)
    except Exception as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        help = "its forward decides by the values or the shape of a tensor, which no graph can follow"
        raise fail("E102", f"`{name}` can't be traced into a graph: {reason}", help=help) from error


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    todo = [node]
    while todo:
        current = todo.pop()
        if current not in found:
            found.add(current)
            todo += current.all_input_nodes
    return found


def _heads(graph: fx.Graph, name: str) -> tuple[fx.Node, tuple[fx.Node, ...]]:
    """The node of the logits, and those of auxiliary logits."""
    result = next(node for node in graph.nodes if node.op == "output").args[0]
    if isinstance(result, fx.Node):
        return result, ()
    if isinstance(result, tuple) and result and all(isinstance(part, fx.Node) for part in result):
        return result[0], tuple(part for part in result[1:] if isinstance(part, fx.Node))
    raise fail("E102", f"`{name}` does not return logits, but a {type(result).__name__}")


def _owner(nodes: set[fx.Node], name: str) -> str:
    """The address of the innermost module that holds all of some nodes."""
    stacks = [list(node.meta.get("nn_module_stack") or {"": None}) for node in nodes]
    shared = stacks[0]
    for stack in stacks[1:]:
        shared = [a for a, b in zip(shared, stack, strict=False) if a == b]
    shared = [address for address in shared if address]
    if not shared:
        raise fail("E102", f"`{name}` has an auxiliary output that is no module's of its own")
    return shared[-1]


def trace(module: nn.Module, name: str) -> fx.GraphModule:
    """Trace a classifier in training mode.

    A head that only feeds an auxiliary output is kept as one module and runs in training alone, so the one graph serves
    both modes. ``name`` is for errors. Raises `RecipeError` (E102) for a module that can't be traced.
    """
    module.train()
    graph = _trace(module, name)
    logits, aux = _heads(graph, name)
    if aux:
        main = _ancestors(logits)
        leaves = frozenset(_owner(_ancestors(head) - main, name) for head in aux)
        graph = _trace(module, name, leaves)
        logits, aux = _heads(graph, name)
        gated = []
        for head in aux:
            with graph.inserting_before(head):
                owner = graph.get_attr(str(head.target))
                node = graph.call_function(only_in_training, (owner, *head.args))
            node.meta = dict(head.meta)
            head.replace_all_uses_with(node)
            graph.erase_node(head)
            gated.append(node)
        last = next(node for node in graph.nodes if node.op == "output")
        with graph.inserting_before(last):
            last.args = (graph.call_function(outputs, (logits, *gated)),)
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    for extra in inputs[1:]:
        if extra.users:
            raise fail("E102", f"`{name}` takes more than images: its forward has the input `{extra.target}`")
        graph.erase_node(extra)
    traced = fx.GraphModule(module, graph, class_name=type(module).__name__)
    traced.train()
    return traced
