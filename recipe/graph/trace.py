"""Trace a module into one torch.fx graph that is correct in both training and evaluation."""

from __future__ import annotations

import contextlib
import inspect
import linecache
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import reason_of
from recipe.graph.calls import MODE, by_mode, only_in_training, outputs
from recipe.graph.net import module_stack, upstream

NUMBERS = (bool, int, float)
RETURNS = "return logits (N, classes), or a tuple of them and the logits of auxiliary heads"
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
DEPTHS = ("StochasticDepth", "DropPath")  # torchvision's and timm's; as whole modules, their rates can be set
RESIZING = ("resample_abs_pos_embed", "resample_abs_pos_embed_nhwc")
"""Functions of timm that fit the positions of a model for images of any size to those that it is given."""
LIBRARIES = ("torchvision", "timm")
"""Libraries whose normalizations stay whole modules, since the class shows what the parameters are."""


def _is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalization of torch (or a subclass), torchvision or timm."""
    if isinstance(module, NORMS):
        return True
    own = {id(parameter) for parameter in module.parameters(recurse=False)}
    alone = own == {id(parameter) for parameter in module.parameters()}  # timm's `ConvNormAct` contains a convolution
    library = type(module).__module__.partition(".")[0] in LIBRARIES
    return bool(own) and alone and library and "Norm" in type(module).__name__


class _Tracer(fx.Tracer):
    proxy_buffer_attributes = True  # otherwise, values computed from a buffer become constants

    def __init__(self, name: str, leaves: frozenset[str]) -> None:
        super().__init__(autowrap_functions=_whole_functions())
        self.name, self.leaves, self.modes = name, leaves, _modes()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            module_qualified_name in self.leaves
            or isinstance(m, nn.Conv2d)
            or _is_norm(m)
            or any(kind.__name__ in DEPTHS for kind in type(m).__mro__)
            or super().is_leaf_module(m, module_qualified_name)
        )

    def create_node(self, *arguments: Any, **options: Any) -> fx.Node:
        for mode, value in _modes().items():
            if value != self.modes[mode]:
                where = f" in `{self.scope.module_path}`" if self.scope.module_path else ""
                help = "a graph runs in one mode; use `.detach()` to stop gradients, or `requires_grad_(False)`"
                raise fail("E102", f"`{self.name}` changes the {mode} of torch in its forward{where}", help=help)
        return super().create_node(*arguments, **options)


def _whole_functions() -> tuple[Callable[..., Any], ...]:
    """Return the functions that are kept whole, because they branch on shapes."""
    layers = sys.modules.get("timm.layers")
    found = (getattr(layers, name, None) for name in RESIZING)
    return tuple(function for function in found if function is not None)


def _modes() -> dict[str, object]:
    """Return the modes of torch that change what an operation computes. A graph doesn't record them."""
    autocast = [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")]
    gradients = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    return {"gradient mode": gradients, "autocast": autocast, "default dtype": torch.get_default_dtype()}


@contextlib.contextmanager
def _drawing_nothing(name: str) -> Iterator[None]:
    """Raise `RecipeError` (E102) if random numbers are drawn in this context, which a graph would keep as constants."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
        drawn = not torch.equal(torch.get_rng_state(), before[0]) or random.getstate() != before[1]
        if drawn or str(np.random.get_state()) != str(before[2]):
            help = "draw them as tensors of the size of the input: `torch.rand_like(x)`"
            raise fail("E102", f"`{name}` draws random numbers that its graph would keep as constants", help=help)
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])


def _trace(module: nn.Module, name: str, leaves: frozenset[str]) -> fx.Graph:
    arguments = list(inspect.signature(module.forward).parameters.values())[1:]
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    defaults = {a.name: a.default for a in arguments if a.kind in plain and a.default is not a.empty}
    try:
        with _drawing_nothing(name):
            graph = _Tracer(name, leaves).trace(module, concrete_args=defaults)
    except RecipeError:
        raise
    except Exception as error:
        reason = f"{reason_of(error).rstrip('.')}{_line_of(error, module)}"
        help = "change the line or use another model: a graph can't represent branches on tensor values or shapes"
        raise fail("E102", f"`{name}` can't be traced into a graph: {reason}", help=help) from error
    _see_unassigned(module, name)
    if any(node.op == "get_attr" and str(node.target).startswith("_tensor_constant") for node in graph.nodes):
        help = "register it as a buffer, so that it is moved and saved with the model"
        raise fail("E102", f"`{name}` uses a tensor that is neither a parameter nor a buffer", help=help)
    for extra in [node for node in graph.nodes if node.op == "placeholder"][1:]:
        _forget(graph, extra, name)
    return graph


def _line_of(error: BaseException, module: nn.Module) -> str:
    """Return the line of a model's code that raised an error, and the module around it, as a suffix for a message."""
    addresses = {id(part): address for address, part in module.named_modules()}
    outside = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not _is_torch(frame)]
    if not outside or outside[-1][0].f_code.co_filename == __file__:
        return ""
    frame, number = outside[-1]
    file = frame.f_code.co_filename
    around = [addresses.get(id(frame.f_locals.get("self")), "") for frame, _ in outside]
    inside = f" in `{found}`" if (found := next(filter(None, reversed(around)), "")) else ""
    code = linecache.getline(file, number).strip()
    return f"{inside}, at {f'`{code}` ' if code else ''}({os.path.basename(file)}, line {number})"


def _is_torch(frame: FrameType) -> bool:
    return os.path.dirname(torch.__file__) in frame.f_code.co_filename


def _see_unassigned(module: nn.Module, name: str) -> None:
    """Raise `RecipeError` (E102) if tracing has left a value in an attribute of a module."""
    for address, part in module.named_modules():
        for attribute, value in (*vars(part).items(), *part._buffers.items(), *part._parameters.items()):
            if isinstance(value, fx.Proxy):
                to = f"{address}.{attribute}".lstrip(".")
                help = "change buffers in place: `self.mean.copy_(…)`"
                raise fail("E102", f"`{name}` assigns to `{to}` in its forward, which a graph can't do", help=help)


def _forget(graph: fx.Graph, extra: fx.Node, name: str) -> None:
    """Remove an input that keeps its default, along with the nodes that assert it."""
    checks = [extra]
    for node in checks:
        checks += node.users
    if any(not node.users and "assert" not in getattr(node.target, "__name__", "") for node in checks[1:]):
        raise fail("E102", f"`{name}` must take only images, but its forward uses the input `{extra.target}`")
    for node in reversed(checks):
        graph.erase_node(node)


def _heads(graph: fx.Graph, name: str) -> tuple[fx.Node, tuple[fx.Node, ...]]:
    """Return the node of the logits and those of auxiliary logits."""
    result: Any = graph.output_node().args[0]
    if isinstance(result, fx.Node) and isinstance(result.target, type) and issubclass(result.target, tuple):
        result = (*result.args, *result.kwargs.values())  # a named tuple
    if isinstance(result, fx.Node):
        return result, ()
    if isinstance(result, tuple) and result and all(isinstance(part, fx.Node) for part in result):
        return result[0], tuple(part for part in result[1:] if isinstance(part, fx.Node))
    kind = type(result).__name__.removeprefix("immutable_")
    raise fail("E102", f"`{name}` must return logits, not {kind}", help=RETURNS)


def _shared_owner(nodes: set[fx.Node], name: str) -> str:
    """Return the address of the innermost module that contains all of some nodes."""
    first, *others = [module_stack(node) for node in nodes] or [[]]
    shared = [address for address in first if all(address in stack for stack in others)]
    if not shared:
        message = f"`{name}` has an auxiliary output that is not computed by a submodule of its own"
        raise fail("E102", message, help=RETURNS)
    return shared[-1]


def _own_calls(graph: fx.Graph, name: str) -> dict[str, list[fx.Node]]:
    """Return the nodes that the logits depend on, grouped by the address of the module around them."""
    live = upstream(_heads(graph, name)[0])
    calls: dict[str, list[fx.Node]] = {}
    for node in graph.nodes:
        if node in live:
            stack = [address for address in module_stack(node) if node.op != "call_module" or address != node.target]
            calls.setdefault(stack[-1] if stack else "", []).append(node)
    return calls


def _steps(calls: dict[str, list[fx.Node]]) -> dict[str, list[Any]]:
    """Return the operations of each module in a form that compares equal if only numbers in calls differ."""
    place = {node: (address, index) for address, nodes in calls.items() for index, node in enumerate(nodes)}

    def form(value: Any) -> Any:
        if isinstance(value, fx.Node):
            return place.get(value)
        if isinstance(value, (tuple, list)):
            return tuple(part if isinstance(part, NUMBERS) else form(part) for part in value)
        return "a number" if isinstance(value, NUMBERS) else repr(value)

    def step(node: fx.Node) -> Any:
        return node.op, node.target, [*map(form, node.args)], {key: form(value) for key, value in node.kwargs.items()}

    return {address: [*map(step, nodes)] for address, nodes in calls.items()}


def _both_modes(module: nn.Module, name: str, leaves: frozenset[str]) -> tuple[fx.Graph, frozenset[str]]:
    """Return the training graph and the modules kept whole: ``leaves`` and those with other operations in evaluation.

    If only a value differs, such as whether to apply dropout, the graph chooses it by mode. A plain trace would freeze
    the value of `self.training`.
    """
    while True:
        graph, other = _trace(module.train(), name, leaves), _trace(module.eval(), name, leaves)
        training, evaluation = _own_calls(graph, name), _own_calls(other, name)
        here, there = _steps(training), _steps(evaluation)
        unlike = frozenset(address for address in {**here, **there} if here.get(address) != there.get(address))
        if not unlike:
            break
        if "" in unlike:
            message = f"`{name}` runs different operations in training than in evaluation, outside its submodules"
            raise fail("E102", message)
        leaves |= unlike
    for address, nodes in training.items():
        for node, twin in zip(nodes, evaluation[address], strict=True):
            _choose(module, graph, node, twin)
    return graph, leaves


def _choose(module: nn.Module, graph: fx.Graph, node: fx.Node, twin: fx.Node) -> None:
    """Make a call select its values according to the mode if they differ from those in evaluation."""

    def chosen(here: Any, there: Any) -> Any:
        if not isinstance(here, NUMBERS) or not isinstance(there, NUMBERS) or here == there:
            return here
        module.add_module(MODE, nn.Module())
        with graph.inserting_before(node):
            return graph.call_function(by_mode, (graph.get_attr(MODE), here, there))

    node.args = tuple(chosen(*pair) for pair in zip(node.args, twin.args, strict=True))
    node.kwargs = {key: chosen(value, twin.kwargs[key]) for key, value in node.kwargs.items()}


def trace(module: nn.Module, name: str) -> fx.GraphModule:
    """Trace a classifier in training mode.

    A head that only feeds an auxiliary output stays one module and runs only in training, so the same graph serves
    both modes. ``name`` is for error messages. Raises `RecipeError` (E102) if the module can't be traced.
    """
    nodes = module.graph.nodes if isinstance(module, fx.GraphModule) else ()  # modules of a rewritten graph stay whole
    called = frozenset(str(node.target) for node in nodes if node.op == "call_module")
    graph, leaves = _both_modes(module, name, called)
    logits, aux = _heads(graph, name)
    graph.output_node().args = (logits,) if not aux else graph.output_node().args
    if aux:
        main = upstream(logits)
        leaves |= {_shared_owner(upstream(head) - main, name) for head in aux}
        graph, _ = _both_modes(module, name, leaves)
        logits, aux = _heads(graph, name)
        gated = []
        for head in aux:
            with graph.inserting_before(head):
                node = graph.call_function(only_in_training, (graph.get_attr(str(head.target)), *head.args))
            node.meta = dict(head.meta)
            head.replace_all_uses_with(node)
            graph.erase_node(head)
            gated.append(node)
        last = graph.output_node()
        stock = last.args[0]
        with graph.inserting_before(last):
            last.args = (graph.call_function(outputs, (logits, *gated)),)
        if isinstance(stock, fx.Node):
            graph.erase_node(stock)
    module.train()
    traced = fx.GraphModule(module, graph, class_name=type(module).__name__)
    _leave_unsaved(traced, {name: {*part._non_persistent_buffers_set} for name, part in module.named_modules()})
    return traced


def _leave_unsaved(traced: fx.GraphModule, names: dict[str, set[str]]) -> None:
    """Exclude buffers, listed per module, from the states of a graph and its copies. Older torch includes them."""
    for address, part in traced.named_modules():
        part._non_persistent_buffers_set |= names.get(address, set()) & part._buffers.keys()
    if not traced.__dict__.get("_deepcopy_hooks"):
        traced._register_deepcopy_hook(partial(_leave_unsaved, names=names))
