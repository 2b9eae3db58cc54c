"""The parts of a network that are frozen together: all but the heads, or all up to a module."""

from __future__ import annotations

from collections.abc import Iterable

from torch import fx, nn

from recipe.base.wording import did_you_mean
from recipe.graph.calls import MODE, by_mode
from recipe.graph.net import Net, module_stack


def body_of(net: Net) -> tuple[str, ...]:
    """Return the addresses of modules, and the names of parameters outside of them, of all but the heads.

    It ends with the last module that has parameters. Dropout after it, before the last layer, is not part of it.
    """
    nodes, heads = [*net.nodes], net.heads
    last = next((node for node in reversed(nodes) if str(node.target) not in heads and _holds(net, node)), None)
    if last is None:
        return ()
    above = _with_containers(heads)
    end = next((address for address in _around(last) if address not in above), None)
    ends = [index for index, node in enumerate(nodes) if node is last or end in _around(node)]
    return _covering(net, {*nodes[: ends[-1] + 1]}, heads)


def up_to(net: Net, address: str) -> tuple[str, ...]:
    """Return the addresses of modules, and the names of parameters outside of them, of all up to a module, with it.

    Modules are in the order in which they run. Auxiliary heads are left out. Raises `KeyError`, with the closest
    address, if the model runs no module at this one.
    """
    nodes = [*net.nodes]
    inside = [index for index, node in enumerate(nodes) if address in _around(node)]
    if not inside:
        known = {part for node in nodes for part in _around(node) if not part.endswith(MODE)}
        raise KeyError(f"the model runs no module at `{address}`{did_you_mean(address, known, before='; ')}")
    return _covering(net, {*nodes[: inside[-1] + 1]}, net.auxiliary_heads)


def _holds(net: Net, node: fx.Node) -> bool:
    """Whether a node is a parameter, or calls a module with parameters or running statistics."""
    if node.op == "get_attr":
        return str(node.target) in dict(net.graph_module.named_parameters(remove_duplicate=False))
    return isinstance(module := net.module(node), nn.Module) and bool(module.state_dict())


def _around(node: fx.Node) -> list[str]:
    """Return the addresses of the modules around a node, including one that it calls, outermost first."""
    if node.op not in ("call_module", "get_attr"):
        return module_stack(node)
    parts = str(node.target).split(".")
    return [".".join(parts[:size]) for size in range(1, len(parts) + (node.op == "call_module"))]


def _with_containers(addresses: Iterable[str]) -> set[str]:
    """Return addresses with those of the modules around them."""
    parts = [address.split(".") for address in addresses]
    return {".".join(words[:size]) for words in parts for size in range(1, len(words) + 1)}


def _covering(net: Net, part: set[fx.Node], but: Iterable[str]) -> tuple[str, ...]:
    """Return the outermost modules that only run in a part of the network, and the names of its other parameters.

    Modules at the addresses ``but`` are left out.
    """
    names = {id(weight): name for name, weight in net.graph_module.named_parameters() if weight.requires_grad}
    held = dict(net.graph_module.named_parameters(remove_duplicate=False))
    nodes = [node for node in net.nodes if node.op not in ("placeholder", "output") and node.target is not by_mode]
    barred = _with_containers(but) | {address for node in nodes if node not in part for address in _around(node)}
    modules = dict(net.graph_module.named_modules())
    found = dict[str, None]()
    for node in (node for node in nodes if node in part):
        target = str(node.target)
        whole = next((address for address in _around(node) if address not in barred and address in modules), None)
        if whole is not None:
            found[whole] = None
            continue
        alone = [held[target]] if node.op == "get_attr" and target in held else []
        if node.op == "call_module" and target not in {*but}:  # it also runs after this part
            alone = [*modules[target].parameters()]
        found |= dict.fromkeys(names[id(weight)] for weight in alone if id(weight) in names)
    return tuple(found)
