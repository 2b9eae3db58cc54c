"""Measure shapes and costs by running a graph on the meta device, which computes no values and allocates no weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import fx, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from recipe.base.errors import fail
from recipe.base.wording import plural, reason_of
from recipe.graph.cost import Cost, Costs
from recipe.graph.net import LINEAR, Net

IMAGES = 2
"""The number of images with which `propagate` runs a graph."""


class _RealNumbers(TorchFunctionMode):
    """Keep ranges and literals on the CPU, since constructors need their values to compute widths and rates."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if func in (torch.arange, torch.linspace, torch.tensor):
            options.setdefault("device", "cpu")
        return func(*args, **options)


def narrow(graph: fx.GraphModule) -> str:
    """Return the name of a convolution whose stride is larger than its input, or an empty text.

    The graph must have been run by `propagate`. Convolutions of one pixel are passed over.
    """
    for node in graph.graph.nodes:
        if node.meta.get("narrow"):
            return str(node.target) if node.op == "call_module" else Net(graph).address(node)
    return ""


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a module on the meta device, where it takes no memory."""
    with torch.device("meta"), _RealNumbers():
        return build().to("meta")


class _Meta(fx.Interpreter):
    """Run a graph on the meta device and skip slow operations that affect neither shapes nor costs."""

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        module = self.fetch_attr(str(target))
        if isinstance(module, nn.BatchNorm2d) and args and args[0].ndim == 4:
            # Batch normalization expands to a dozen operations, which take longer than all the rest.
            if args[0].shape[1] != module.num_features:
                raise ValueError(
                    f"{target} expects {plural(module.num_features, 'channel')} but gets {args[0].shape[1]}"
                )
            return torch.empty_like(args[0])
        return super().call_module(target, args, kwargs)


class _Convolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notice convolutions whose stride is larger than their input, in layers and in calls of functions alike."""

    narrow = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default and not args[6]:  # a transposed one enlarges its input
            inputs, weight, strides = args[0].shape[2:], args[1].shape[2:], args[3]
            if len(strides) == 1:
                strides = strides * len(inputs)
            sides = zip(strides, weight, inputs, strict=True)
            self.narrow |= any(stride > side and kernel > 1 for stride, kernel, side in sides)
        return func(*args, **(kwargs or {}))


class _Shapes(_Meta):
    at: fx.Node | None = None

    def run_node(self, n: fx.Node) -> Any:
        self.at = n
        with _Convolutions() as convolutions:  # type: ignore[no-untyped-call]
            result = super().run_node(n)
        n.meta["narrow"] = convolutions.narrow
        if isinstance(result, torch.Tensor):
            n.meta["shape"] = tuple(result.shape)
        return result


def propagate(graph_module: fx.GraphModule, size: int, name: str) -> Any:
    """Run a graph on the meta device with `IMAGES` images of size × size pixels, in the channels of `Net.channels`.

    It stores each node's output shape, and whether the node is a convolution as in `narrow`.

    Raises `RecipeError` (E103) if the network can't process images of this size.
    """
    shapes = _Shapes(graph_module)
    try:
        with torch.no_grad():
            return shapes.run(torch.empty(IMAGES, Net(graph_module).channels, size, size, device="meta"))
    except Exception as error:  # a layer may raise anything
        reason = reason_of(error).rstrip(".")
        at = f"at `{Net(graph_module).address(shapes.at)}`, " if shapes.at else ""
        help = "set the dataset's `size=`; some models accept only one size"
        raise fail("E103", f"`{name}` can't process images of {size}×{size}: {at}{reason}", help=help) from error


class _Costs(_Meta):
    """Record the cost of each node. A parameter that several nodes share counts only at its first use."""

    def __init__(self, graph_module: fx.GraphModule, counter: FlopCounterMode) -> None:
        super().__init__(graph_module)
        self.counter, self.counted = counter, set[nn.Parameter]()

    def run_node(self, n: fx.Node) -> Any:
        before = self.counter.get_total_flops()
        result = super().run_node(n)
        macs = (self.counter.get_total_flops() - before) // 2
        part = self.fetch_attr(str(n.target)) if n.op in ("call_module", "get_attr") else None
        activations = result.numel() if isinstance(part, LINEAR) and isinstance(result, torch.Tensor) else 0
        owned = part.parameters() if isinstance(part, nn.Module) else (part,)
        fresh = {parameter for parameter in owned if isinstance(parameter, nn.Parameter)} - self.counted
        self.counted |= fresh
        n.meta["cost"] = Cost(sum(parameter.numel() for parameter in fresh), macs, activations)
        return result


def measure(graph_module: fx.GraphModule, size: int) -> Costs:
    """Measure the costs of a graph on the meta device, in evaluation mode, for one image of size × size pixels."""
    training = graph_module.training
    graph_module.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _Costs(graph_module, counter).run(torch.empty(1, Net(graph_module).channels, size, size, device="meta"))
    graph_module.train(training)
    costs: dict[str, Cost] = {}
    for node, stage in Net(graph_module).stages.items():
        if (cost := node.meta["cost"]) != Cost():
            costs[stage] = costs.get(stage, Cost()) + cost
    total = sum(costs.values(), Cost())
    return Costs(**attrs.asdict(total), size=size, stages=costs)
