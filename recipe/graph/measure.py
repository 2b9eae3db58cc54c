"""What a graph costs, counted on the meta device, in all and stage by stage."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torch.utils.flop_counter import FlopCounterMode

from recipe.graph.cost import Cost, Costs
from recipe.graph.net import Net, owner
from recipe.graph.shapes import _Meta


class _Costs(_Meta):
    def __init__(self, module: fx.GraphModule, counter: FlopCounterMode) -> None:
        super().__init__(module, garbage_collect_values=True)
        self.counter = counter
        self.costs: dict[fx.Node, Cost] = {}

    def run_node(self, n: fx.Node) -> Any:
        before = self.counter.get_total_flops()
        result = super().run_node(n)
        layer = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        counted = isinstance(layer, (nn.Conv2d, nn.Linear)) and isinstance(result, torch.Tensor)
        self.costs[n] = Cost(
            macs=(self.counter.get_total_flops() - before) // 2, activations=result.numel() if counted else 0
        )
        return result


def stages(net: Net) -> dict[fx.Node, str]:
    """The stage of every node: the stem, the parts that hold the residual blocks, and the head.

    A network without residual blocks has its outermost modules for stages.
    """

    def outermost(node: fx.Node) -> str:
        parts = owner(node).split(".")
        return ".".join(parts[:depth]) or "other"

    depth = 1
    nodes = list(net.nodes)
    if not net.blocks:
        return {node: outermost(node) for node in nodes}
    if len({outermost(block.add) for block in net.blocks}) == 1:
        depth = 2  # a model whose blocks all stand in one list: `features.3`
    position = {node: index for index, node in enumerate(nodes)}
    first = min(position[node] for node in (*net.blocks[0].trunk, *net.blocks[0].shortcut))
    home = outermost(net.blocks[0].add)
    if home != "other":  # what comes before the first block in its own stage is no stem
        first = min([first, *(position[node] for node in nodes if outermost(node) == home)])
    last = max(position[block.add] for block in net.blocks)
    found, current = {}, "stem"
    for node in nodes:
        if position[node] < first:
            current = "stem"
        elif position[node] == first and home != "other":
            current = home
        elif position[node] > last and outermost(node) != outermost(nodes[last]):
            current = "head"
        elif current != "head":
            current = outermost(node) if node.op == "call_module" else current
        found[node] = current
    return found


def measure(graph_module: fx.GraphModule, size: int) -> Costs:
    """The costs of a graph on the meta device, in evaluation mode, for one image of size × size."""
    net = Net(graph_module)
    where = stages(net)
    training = graph_module.training
    graph_module.eval()
    counter = FlopCounterMode(display=False)
    interpreter = _Costs(graph_module, counter)
    with counter, torch.no_grad():
        interpreter.run(torch.empty(1, 3, size, size, device="meta"))
    graph_module.train(training)
    found: dict[str, Cost] = {}
    seen: set[int] = set()
    for node, stage in where.items():
        cost = interpreter.costs.get(node, Cost())
        owned: list[nn.Parameter] = []
        if node.op in ("call_module", "get_attr"):
            thing = graph_module
            for part in str(node.target).split("."):
                thing = getattr(thing, part)
            owned = list(thing.parameters()) if isinstance(thing, nn.Module) else [thing]
        fresh = [p for p in owned if isinstance(p, nn.Parameter) and id(p) not in seen]
        seen |= {id(parameter) for parameter in fresh}
        cost += Cost(params=sum(parameter.numel() for parameter in fresh))
        node.meta["cost"] = cost
        if cost != Cost():
            found[stage] = found.get(stage, Cost()) + cost
    return Costs(size, found)
