"""Outputs of layers inside a network, by address, as further outputs of its graph."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from torch import fx

from recipe.base.wording import did_you_mean, plural
from recipe.graph.net import Net, module_stack


def feature_node(net: Net, address: str) -> fx.Node:
    """Return the node whose output is that of the module at an address, such as ``layer3``, in training.

    Raises `KeyError`, with the reason, if there is no such module, if it is called several times and no call is named,
    or if it doesn't have exactly one output.
    """
    target, _, call = address.partition("#")
    if call or net.calls(target):
        node = net.node(address)
    else:
        inside = {node for node in net.nodes if address in module_stack(node) and node.op != "get_attr"}
        ends = [node for node in inside if node.users.keys() - inside]
        if not inside:
            known = {part for node in net.nodes for part in module_stack(node)}
            raise KeyError(f"the model has no layer at `{address}`{did_you_mean(address, known, before='; ')}")
        if len(ends) != 1:
            raise KeyError(f"`{address}` has {plural(len(ends), 'output')}; name a layer in it that has one")
        (node,) = ends
    if "shape" not in node.meta:
        raise KeyError(f"the output of `{address}` is not a tensor")
    return node


def with_features(model: fx.GraphModule, addresses: Iterable[str]) -> fx.GraphModule:
    """Return a model with the same modules that also returns the outputs of some of them: ``(outputs, features)``.

    ``features`` is a dictionary by address. Operations that follow may change an output in place, as many activations
    do, so it has copies. Raises `KeyError` as `feature_node` does.
    """
    wanted = {address: feature_node(Net(model), address).name for address in addresses}
    graph, features = copy.deepcopy(model.graph), dict[str, fx.Node]()
    by_name = {node.name: node for node in graph.nodes}
    for address, name in wanted.items():
        with graph.inserting_after(by_name[name]):
            features[address] = graph.call_method("clone", (by_name[name],))
    last = graph.output_node()
    last.args = ((last.args[0], features),)
    return fx.GraphModule(model, graph, class_name=type(model).__name__)
