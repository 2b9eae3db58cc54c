"""The tricks' view of a network: stem, residual blocks and layers, found by structure rather than name or class."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator
from functools import cached_property

import attrs
import torch
from torch import fx, nn

from recipe.base.channels import GRAY, RGB
from recipe.base.wording import did_you_mean
from recipe.graph.calls import only_in_training

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
PRODUCTS = (operator.mul, torch.mul, "mul", "mul_")
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm)
LINEAR = (nn.Conv2d, nn.Linear)
ACTIVATIONS = ("relu", "relu6", "leaky_relu", "silu", "gelu", "hardswish", "hardtanh", "mish", "elu", "clamp")
GATES = ("SqueezeExcitation", "SEModule", "SqueezeExcite")


def module_stack(node: fx.Node) -> list[str]:
    """Return the addresses of the modules around a node, outermost first, including a module that it calls."""
    return [address for address in node.meta.get("nn_module_stack") or {} if address]


def owner(node: fx.Node) -> str:
    """Return the address of the module that a node calls, or else of the module around it; empty if there is none."""
    if node.op == "call_module":
        return str(node.target)
    return next(reversed(module_stack(node)), "")


@attrs.frozen(eq=False)
class Block:
    """A residual block: two paths that start at the same node and are added."""

    net: Net
    """The network that contains the block."""
    where: str
    """The common address of its layers, such as ``layer2.0``, or the name of the addition if they have none."""
    split: fx.Node
    """The node whose output both paths take."""
    add: fx.Node
    """The node that adds the outputs of the two paths."""
    trunk: tuple[fx.Node, ...]
    """The nodes of the path with more convolutions and fully connected layers, in order."""
    shortcut: tuple[fx.Node, ...]
    """The nodes of the other path, in order. Empty for an identity shortcut."""

    @property
    def trunk_convs(self) -> list[tuple[str, nn.Conv2d]]:
        """Address and module of each convolution of the trunk, in order."""
        return self.net.convs(self.trunk)

    @property
    def shortcut_convs(self) -> list[tuple[str, nn.Conv2d]]:
        """Address and module of each convolution of the shortcut, in order."""
        return self.net.convs(self.shortcut)

    @property
    def _last(self) -> fx.Node | None:
        """The last node of the trunk, whose output goes into the addition."""
        return next((node for node in self.add.all_input_nodes if node in self.trunk), None)

    @property
    def end(self) -> str | None:
        """The address of the module that ends the trunk, or None if the last node calls no module."""
        node = self._last
        return None if node is None or node.op != "call_module" else self.net.address(node)

    @property
    def last_norm(self) -> tuple[str, nn.Module] | None:
        """Address and module of the normalization that ends the trunk, with no other layer before the addition.

        A gate computed from the normalized values, as in squeeze-and-excitation, may follow it. An activation may not:
        after a gamma of zero, a ReLU would never get a gradient.
        """
        node = self._last
        while node is not None and node in self.trunk:
            module = self.net.module(node)
            if isinstance(module, NORMS):
                alone = isinstance(getattr(module, "act", None), (nn.Identity, type(None)))  # timm's may contain one
                return (self.net.address(node), module) if alone else None
            inputs = _weighed(node) or node.all_input_nodes
            if isinstance(module, LINEAR) or len(inputs) != 1 or _is_activation(node, module):
                return None
            node = inputs[0]
        return None

    @property
    def gated(self) -> bool:
        """Whether the trunk scales its channels by a factor computed from them, as in squeeze-and-excitation."""
        return any(map(self._gate, self.trunk))

    @property
    def bottleneck(self) -> tuple[int, int] | None:
        """The number of channels that the gate scales, and that its first layer outputs; None without such a layer."""
        for node in self.trunk:
            for value in self._gate(node):
                gate, between = self.net.module(node), upstream(node) - upstream(value)
                inner = map(self.net.module, (part for part in self.trunk if part in between))
                for module in inner if gate is None else gate.modules():
                    if isinstance(module, LINEAR):
                        return value.meta["shape"][1], module.weight.shape[0]
        return None

    def _gate(self, node: fx.Node) -> list[fx.Node]:
        """Return the inputs that a gate, or a product with one, scales per channel; empty for any other node."""
        if type(self.net.module(node)).__name__ in GATES:
            return node.all_input_nodes
        factors = (factor.meta.get("shape", ()) for factor in node.all_input_nodes)
        return _weighed(node) if any(len(shape) == 4 and shape[2:] == (1, 1) for shape in factors) else []


@attrs.frozen(eq=False, slots=False)
class Net:
    """A view of a traced model.

    A node's output shape is ``node.meta["shape"]`` if its output is a tensor: (N, C, H, W) for images.
    """

    graph_module: fx.GraphModule
    """The traced model."""

    @property
    def nodes(self) -> Iterable[fx.Node]:
        """The nodes of its graph, in the order in which they run."""
        return self.graph_module.graph.nodes

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls, or None if it calls none."""
        return self.graph_module.get_submodule(str(node.target)) if node.op == "call_module" else None

    @cached_property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of all trainable parameters, in the order of the network."""
        return tuple(name for name, weight in self.graph_module.named_parameters() if weight.requires_grad)

    def layers(self) -> Iterator[tuple[str, str, nn.Module]]:
        """Yield address, kind and module of each ``conv``, ``linear`` and ``norm`` layer, auxiliary heads included."""
        for address, module in self.graph_module.named_modules():
            for kind, types in (("conv", nn.Conv2d), ("linear", nn.Linear), ("norm", NORMS)):
                if isinstance(module, types):
                    yield address, kind, module

    def convs(self, nodes: Iterable[fx.Node]) -> list[tuple[str, nn.Conv2d]]:
        """Return the address and the module of each convolution that some nodes call, in order."""
        called = ((self.address(node), self.module(node)) for node in nodes)
        return [(address, module) for address, module in called if isinstance(module, nn.Conv2d)]

    @cached_property
    def _calls(self) -> dict[str, list[fx.Node]]:
        calls: dict[str, list[fx.Node]] = {}
        for node in self.nodes:
            if node.op == "call_module":
                calls.setdefault(str(node.target), []).append(node)
        return calls

    def address(self, node: fx.Node) -> str:
        """Return the address of a node: its module's, with ``#2`` added for a second call, or else its own name."""
        if node.op != "call_module":
            return node.name
        calls = self._calls[str(node.target)]
        return str(node.target) + (f"#{calls.index(node) + 1}" if len(calls) > 1 else "")

    def calls(self, address: str) -> list[fx.Node]:
        """Return the nodes that call the module at an address, in order."""
        return list(self._calls.get(address, ()))

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Return each module that the model calls, with its address, without duplicates."""
        return ((address, self.graph_module.get_submodule(address)) for address in self._calls)

    def node(self, address: str) -> fx.Node:
        """Return the node at an address. Raises `KeyError`, with the closest address, if there is none."""
        target, _, call = address.partition("#")
        calls = self._calls.get(target, [])
        if len(calls) == 1 and not call:
            return calls[0]
        if calls and call.isdecimal() and 1 <= int(call) <= len(calls):
            return calls[int(call) - 1]
        if calls:
            raise KeyError(f"`{target}` is called {len(calls)} times; name one call, such as `{target}#1`")
        for node in self.nodes:
            if node.op != "call_module" and node.name == address:
                return node
        raise KeyError(f"the model has no node at `{address}`{did_you_mean(address, self._calls, before='; ')}")

    @property
    def stem(self) -> tuple[str, nn.Conv2d] | None:
        """Address and module of the convolution at the input, or None if there isn't exactly one.

        What only reads the input's shape or type doesn't count.
        """
        node = next((node for node in self.nodes if node.op == "placeholder"), None)
        while node is not None and len(users := [user for user in node.users if not _is_shape(user)]) == 1:
            (node,) = users
            if isinstance(module := self.module(node), nn.Conv2d):
                return self.address(node), module
        return None

    @property
    def stem_weight(self) -> str:
        """The name of the weight of the stem, whose input channels may be added up, or empty without one."""
        return f"{self.stem[0]}.weight" if self.stem and self.stem[1].groups == 1 else ""

    @property
    def channels(self) -> int:
        """The channels of the images that the model takes: 1 if its stem takes gray images, or else 3."""
        return GRAY if self.stem is not None and self.stem[1].in_channels == GRAY else RGB

    @property
    def classifier(self) -> tuple[str, nn.Linear] | None:
        """Address and module of the last fully connected layer, which computes the logits. Ignores auxiliary heads."""
        for node in reversed([*self.nodes]):
            if isinstance(module := self.module(node), nn.Linear):
                return self.address(node), module
        return None

    @property
    def heads(self) -> tuple[str, ...]:
        """The addresses of the layers that compute the logits, and of auxiliary heads."""
        layers = [node for node in self.nodes if isinstance(self.module(node), LINEAR)]
        before = upstream(layers[-1]) - {layers[-1]} if layers else set()
        return (*(str(node.target) for node in layers if node not in before), *self.auxiliary_heads)

    @property
    def auxiliary_heads(self) -> tuple[str, ...]:
        """The addresses of the modules that only compute something in training."""
        return tuple(str(node.all_input_nodes[0].target) for node in self.nodes if node.target is only_in_training)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The residual blocks, in order."""
        position = {node: index for index, node in enumerate(self.nodes)}
        calls = (node for node in self.nodes if node.op in ("call_function", "call_method"))
        blocks = (self._block(node, position) for node in calls if node.target in ADDITIONS)
        return tuple(block for block in blocks if block is not None)

    @property
    def stages(self) -> dict[fx.Node, str]:
        """The stage of each node: stem, a part with residual blocks, or head. Without blocks, its outermost module."""

        def outermost(node: fx.Node) -> str:
            return ".".join(owner(node).split(".")[:depth]) or "other"

        depth, nodes = 1, list(self.nodes)
        if not self.blocks:
            return {node: outermost(node) for node in nodes}
        if len({outermost(block.add) for block in self.blocks}) == 1:
            depth = 2  # a model with all its blocks in one list: `features.3`
        block, home = self.blocks[0], outermost(self.blocks[0].add)
        begins = {*block.trunk, *block.shortcut}
        if home != "other":  # nodes before the first block in the block's own stage do not belong to the stem
            begins |= {node for node in nodes if outermost(node) == home}
        first = next(index for index, node in enumerate(nodes) if node in begins)
        last = max(nodes.index(block.add) for block in self.blocks)
        stages, stage = {}, "stem"
        for index, node in enumerate(nodes):
            if index == first and home != "other":
                stage = home
            elif index > last and outermost(node) != outermost(nodes[last]):
                stage = "head"
            elif index >= first and stage != "head" and node.op == "call_module":
                stage = outermost(node)
            stages[node] = stage
        return stages

    @cached_property
    def _live(self) -> set[fx.Node]:
        """The nodes that the output depends on; a model's code may leave unused ones."""
        return {node for output in self.nodes if output.op == "output" for node in upstream(output)}

    def _block(self, add: fx.Node, position: dict[fx.Node, int]) -> Block | None:
        sources, place = [upstream(node) for node in add.all_input_nodes], position.__getitem__
        if len(sources) != 2 or not (common := sources[0] & sources[1]):
            return None
        split = max(common, key=place)
        paths = [sorted((n for n in nodes if place(n) > place(split)), key=place) for nodes in sources]
        for path in paths:
            inside = {split, *path}
            for node in path:  # inputs other than parameters must come from the split, and outputs must end here
                if any(arg not in inside and arg.op != "get_attr" for arg in node.all_input_nodes):
                    return None
                users = () if node.op == "get_attr" else self._live & node.users.keys()
                if any(user not in inside and user is not add for user in users):
                    return None
        weights = [sum(isinstance(self.module(node), LINEAR) for node in path) for path in paths]
        if weights[0] == weights[1]:
            return None
        if weights[0] < weights[1]:
            paths.reverse()
        trunk, shortcut = (tuple(node for node in path if node.op != "get_attr") for path in paths)
        return Block(self, self._where(add, trunk), split, add, trunk, shortcut)

    def _where(self, add: fx.Node, trunk: tuple[fx.Node, ...]) -> str:
        """Return the common address of a block's layers, ignoring modules called several times, such as a ReLU."""
        called = [str(node.target) for node in trunk if node.op == "call_module"]
        parts = [target.split(".") for target in called if len(self._calls[target]) == 1]
        shared = itertools.takewhile(lambda words: len({*words}) == 1, zip(*parts, strict=False))
        return ".".join(words[0] for words in shared) or add.name


def _is_activation(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        return type(module).__module__ == "torch.nn.modules.activation"
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name.rstrip("_") in ACTIVATIONS


def _weighed(node: fx.Node) -> list[fx.Node]:
    """Return the value that a product scales by a factor computed from it; empty for any other node."""
    inputs = node.all_input_nodes
    if node.target not in PRODUCTS or len(inputs) != 2:
        return []
    return [value for value, other in (inputs, inputs[::-1]) if value in upstream(other)]


def upstream(node: fx.Node) -> set[fx.Node]:
    """Return a node and all nodes that it depends on."""
    reached, waiting = set[fx.Node](), [node]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += current.all_input_nodes
    return reached


def _is_shape(node: fx.Node) -> bool:
    """Whether a node reads the shape or type of its input, not its values, as vision transformers do with images."""
    if node.op == "call_method":
        return node.target in ("size", "dim")
    return node.target is getattr and node.args[1] in ("shape", "ndim", "dtype", "device")
