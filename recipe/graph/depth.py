"""The depth of each parameter: the index of its layer, from 0 at the input to that of the head."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from torch import nn

from recipe.base.errors import fail
from recipe.base.wording import reason_of
from recipe.graph.edits import Edit, Insert, Substitute
from recipe.graph.net import Net, owner

CONTAINERS = (nn.Module, nn.Sequential, nn.ModuleList)
"""Classes that only contain layers. The modules of a graph that has been traced before are plain ones."""

ADDITIONS = 3
"""The largest number of additions in the module of one residual block."""

FEWEST = 3
"""The smallest number of layers by which a model can be divided."""

Depths = Mapping[str, int]


def depths_of(model: nn.Module, net: Net) -> Depths:
    """Return the depth of each parameter of a model, or nothing if its layers can't be told apart.

    A model with timm's method ``group_matcher`` states its layers. In any other one, the first layer is all that runs
    before the first residual block, and each block is a layer, with what runs between the block before and it. What
    runs after the last block is part of it, except for the last layer, which has the heads. Without residual blocks,
    each module is a layer, and so is each module of a sequence; a normalization belongs to the layer before it.
    ``net`` is the graph of the model, not yet rewritten.
    """
    stated = _stated(model)
    if stated is None:
        return {}
    return next((each for each in (stated, _found(model, net)) if len({*each.values()}) >= FEWEST), {})


def depths_after(depths: Depths, edits: Iterable[Edit], net: Net) -> Depths:
    """Return the depth of each parameter of a rewritten model, of which ``depths`` has those of the stock model.

    A new layer has the depth of the layer that it replaces or is next to. If that has no parameters, it has the depth
    of the layer that runs before it.
    """
    if not depths:
        return {}
    made = dict[str, int]()
    for edit in edits:
        if isinstance(edit, (Substitute, Insert)):
            address = edit.address.partition("#")[0]
            beside = [depth for name, depth in {**depths, **made}.items() if f"{name}.".startswith(f"{address}.")]
            if beside:
                made |= {new: beside[-1] for new, _ in edit.chain}
    after, current = dict[str, int](), 0
    for name in _in_order(net):
        parts = name.split(".")
        above = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
        current = next((made[address] for address in above if address in made), depths.get(name, current))
        after[name] = current
    return after


def _stated(model: nn.Module) -> Depths | None:
    """Return the depths by the layers that a model itself states, as timm's optimizers use them. None without timm."""
    if not callable(matcher := getattr(model, "group_matcher", None)):
        return {}
    try:
        from timm.models import group_parameters

        depths: Depths = group_parameters(model, matcher(coarse=False), reverse=True)
    except ImportError:
        return None
    except Exception as error:  # a model's own code may raise anything
        raise fail("E102", f"the model's `group_matcher` fails: {reason_of(error)}") from error
    return depths


def _found(model: nn.Module, net: Net) -> Depths:
    """Return the depths by the residual blocks of a model, or by its modules if it has none."""
    order, heads, blocks = _in_order(net), tuple(f"{head}." for head in net.heads), _blocks(model, net)
    names = {layer: [name for name in order if name.startswith(f"{layer}.")] for layer in _layers(model, blocks)}
    apart = {name for name in order if name.startswith(heads)}
    apart |= {name for inside in names.values() if apart & {*inside} for name in inside}
    first = {layer: order[inside[0]] for layer, inside in names.items() if inside and inside[0] not in apart}
    if not (first and apart):
        return {}
    depths, begins, current = dict[str, int](), list[tuple[int, int]](), -1
    layers = sorted(first, key=first.__getitem__)
    for layer, is_new in zip(layers, _new(model, layers, blocks), strict=True):
        current += is_new
        begins.append((first[layer], current))
        depths |= dict.fromkeys(names[layer], current)
    for name, index in order.items():  # a parameter of a module that contains layers, such as a position embedding
        at = bisect.bisect_right(begins, (index, current + 1))
        depths.setdefault(name, current + 1 if name in apart else begins[max(0, at - 1)][1])
    return depths


def _new(model: nn.Module, layers: Sequence[str], blocks: Collection[str]) -> list[bool]:
    """Return whether each module, in the order of the forward pass, begins another layer than the one before."""
    places = [place for place, layer in enumerate(layers) if layer in blocks]
    if places:
        after = {place + 1 for place in places if place < places[-1]}
        return [place in {0, places[0], *after} for place in range(len(layers))]
    norms = [{*map(type, model.get_submodule(layer).modules())} for layer in layers]
    return [not place or not all("Norm" in kind.__name__ for kind in kinds) for place, kinds in enumerate(norms)]


def _in_order(net: Net) -> dict[str, int]:
    """Return the name of each parameter, in the order of the forward pass, with the index of the node that uses it."""
    parameters, order = dict(net.graph_module.named_parameters(remove_duplicate=False)), dict[str, int]()
    within: dict[str, list[str]] = {}
    for name in parameters:
        for size in range(name.count(".") + 1):
            within.setdefault(name.rsplit(".", size)[0], []).append(name)
    for index, node in enumerate(net.nodes):
        for name in within.get(str(node.target), ()) if node.op in ("call_module", "get_attr") else ():
            order.setdefault(name, index)
    return order


def _blocks(model: nn.Module, net: Net) -> set[str]:
    """Return the addresses of the residual blocks, and of the other modules of their classes, without a shortcut."""
    addresses = {address: type(module) for address, module in model.named_modules() if address}
    around = Counter(owner(block.add) for block in net.blocks)
    found = {
        within if (within := owner(block.add)) and around[within] <= ADDITIONS else block.where for block in net.blocks
    } & addresses.keys()
    kinds = {addresses[address] for address in found} - {*CONTAINERS}
    return found | {address for address, kind in addresses.items() if kind in kinds}


def _layers(model: nn.Module, blocks: set[str]) -> Iterator[str]:
    """Yield the addresses of the modules that are layers."""

    def walk(module: nn.Module, address: str) -> Iterator[str]:
        children = [(name, child) for name, child in module.named_children()]
        contains = any(block.startswith(f"{address}.") for block in blocks)
        if not children or address in blocks:
            yield address
        elif not address or contains or (not blocks and _only_contains(module)):
            for name, child in children:
                yield from walk(child, f"{address}.{name}".lstrip("."))
        else:
            yield address

    return walk(model, "")


def _only_contains(module: nn.Module) -> bool:
    return type(module) in CONTAINERS or isinstance(module, (nn.ModuleList, nn.ModuleDict))
