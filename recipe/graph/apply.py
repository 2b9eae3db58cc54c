"""Apply edits to a graph and account for every parameter. No other module changes a graph."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Collection, Iterable, Iterator

import torch
from torch import fx, nn

from recipe.base.errors import fail
from recipe.base.wording import did_you_mean, reason_of
from recipe.graph.edits import Chain, Edit, Initialise, Insert, Layer, SetAttribute, Substitute, made_prefixes
from recipe.graph.net import Net


class EditError(ValueError):
    """An edit can't be applied to a graph. The message says why."""


def _must(holds: object, otherwise: str) -> None:
    if not holds:
        raise EditError(otherwise)


def make(layer: Layer) -> nn.Module:
    """Create the module that a `Layer` describes, on torch's default device. Raises `EditError`."""
    package, _, name = layer.kind.rpartition(":")
    try:
        where = importlib.import_module(package or "torch.nn")
    except Exception as error:  # the module may be a plugin's
        raise EditError(f"{layer} can't be created: {reason_of(error, type(error).__name__)}") from error
    kind = getattr(where, name, None)
    _must(kind, f"{where.__name__} has no `{name}`{did_you_mean(name, vars(where), before='; ')}")
    try:
        module = kind(**layer.arguments)  # type: ignore[misc]
    except Exception as error:  # a layer may raise anything
        raise EditError(f"{layer} can't be created: {reason_of(error, type(error).__name__)}") from error
    _must(isinstance(module, nn.Module), f"{layer} is not a module")
    return module  # type: ignore[no-any-return]


def apply(graph_module: fx.GraphModule, edits: Iterable[Edit]) -> None:
    """Apply edits to a graph on the meta device. `Initialise` leaves it unchanged; it applies to real weights later.

    Raises `EditError` if an edit does not fit the graph.
    """
    for edit in edits:
        match edit:
            case SetAttribute():
                _set(graph_module, edit)
            case Substitute():
                _substitute(graph_module, edit)
            case Insert():
                _insert(graph_module, edit)
            case Initialise():
                _try(graph_module, edit)
    try:
        graph_module.graph.lint()
    except RuntimeError as error:
        raise EditError(f"the edited graph is invalid: {reason_of(error)}") from error
    graph_module.recompile()


def fill(parameter: torch.Tensor, edit: Initialise, generator: torch.Generator | None) -> None:
    """Set the values of a parameter as an edit says. Schemes that draw values take them from ``generator``."""
    scheme = getattr(nn.init, f"{edit.scheme}_")
    drawn = {"generator": generator} if "generator" in inspect.signature(scheme).parameters else {}
    scheme(parameter, **drawn, **edit.arguments)


def _try(graph_module: fx.GraphModule, edit: Initialise) -> None:
    """Initialize a parameter on the meta device, which shows whether the scheme and its arguments fit."""
    try:
        parameter = graph_module.get_parameter(edit.parameter)
    except AttributeError as error:
        raise EditError(f"the model has no parameter `{edit.parameter}`") from error
    _must(hasattr(nn.init, f"{edit.scheme}_"), f"torch.nn.init has no `{edit.scheme}_`")
    try:
        with torch.no_grad():
            fill(parameter, edit, None)
    except Exception as error:  # whatever torch raises for arguments that don't fit
        raise EditError(f"{edit.parameter} can't be initialized: {reason_of(error, type(error).__name__)}") from error


def _set(graph_module: fx.GraphModule, edit: SetAttribute) -> None:
    _must("#" not in edit.address, f"{edit.address} is only one of several calls of a module")
    _must(Net(graph_module).calls(edit.address), f"{edit.address} is not a module that the model calls")
    module = graph_module.get_submodule(edit.address)
    same = hasattr(module, edit.name) and getattr(module, edit.name) == edit.before
    _must(same, f"{edit.address}.{edit.name} is not {edit.before}")
    try:
        setattr(module, edit.name, edit.after)
    except (AttributeError, TypeError) as error:
        raise EditError(f"{edit.address}.{edit.name} can't be set: {reason_of(error)}") from error


def _add(graph_module: fx.GraphModule, chain: Chain) -> None:
    for address, layer in chain:
        with torch.device("meta"):
            module = make(layer)
        module.train(graph_module.training)
        taken = hasattr(_holder(graph_module, address), address.rpartition(".")[2])
        _must(not taken, f"the address `{address}` is already in use")
        _must(_added(graph_module, address, module), f"a module can't be added at `{address}`")


def _added(graph_module: fx.GraphModule, address: str, module: nn.Module) -> bool:
    """Add a module at an address. Return whether that is possible."""
    try:
        return graph_module.add_submodule(address, module)
    except (AttributeError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def _beside(parent: nn.Module, child: str, after: bool = True) -> Iterator[None]:
    """Place submodules added in this context next to a child, so that states keep the order of the network."""
    order: dict[str, float] = {name: place for place, name in enumerate(parent._modules)}
    new = order.get(child, len(order)) + (0.5 if after else -0.5)
    yield
    children = sorted(parent._modules.items(), key=lambda entry: order.get(entry[0], new))
    parent._modules.clear()
    parent._modules.update(children)


def _holder(graph_module: fx.GraphModule, address: str) -> nn.Module | None:
    """Return the parent of the module at an address, or None if the parent does not exist yet."""
    try:
        return graph_module.get_submodule(address.rpartition(".")[0])
    except AttributeError:
        return None


def _call(graph_module: fx.GraphModule, chain: Chain, value: fx.Node, like: fx.Node) -> fx.Node:
    for address, _ in chain:
        value = graph_module.graph.call_module(address, (value,))
        value.meta = {name: entry for name, entry in like.meta.items() if name == "nn_module_stack"}
    return value


def _substitute(graph_module: fx.GraphModule, edit: Substitute) -> None:
    address, _, several = edit.address.partition("#")
    _must(not several, f"{edit.address} is only one of several calls of a module; {address} replaces all of them")
    calls = Net(graph_module).calls(address)
    _must(calls, f"{address} is not a module that the model calls")
    above, _, name = address.rpartition(".")
    with _beside(graph_module.get_submodule(above), name):
        graph_module.delete_submodule(address)
        _add(graph_module, edit.chain)
    for node in calls:
        with graph_module.graph.inserting_before(node):
            last = _call(graph_module, edit.chain, node.all_input_nodes[0], node)
        node.replace_all_uses_with(last)
        graph_module.graph.erase_node(node)


def _insert(graph_module: fx.GraphModule, edit: Insert) -> None:
    try:
        node = Net(graph_module).node(edit.address)
    except KeyError as error:
        raise EditError(str(error.args[0])) from error
    _must(edit.chain, f"the chain to insert at {edit.address} is empty")
    with _beside(*_neighbour(graph_module, edit, node)):
        _add(graph_module, edit.chain)
    value, users = (node, list(node.users)) if edit.after else (node.all_input_nodes[0], [node])
    with graph_module.graph.inserting_before(node.next if edit.after else node):
        last = _call(graph_module, edit.chain, value, node)
    for user in users:
        user.replace_input_with(value, last)


def _neighbour(graph_module: fx.GraphModule, edit: Insert, node: fx.Node) -> tuple[nn.Module, str, bool]:
    """Return the parent of the new modules, the child to place them next to, and whether they come after it.

    If the node calls no module, they come after the last module called before it.
    """
    above, after = edit.chain[0][0].rpartition(".")[0], edit.after
    while above and _holder(graph_module, f"{above}.") is None:
        above = above.rpartition(".")[0]
    while node.op not in ("call_module", "placeholder"):
        node, after = node.prev, True
    target = str(node.target).removeprefix(f"{above}." if above else "")
    return graph_module.get_submodule(above), target.split(".")[0], after


Shapes = dict[str, tuple[int, ...]]


def parameters(module: nn.Module) -> Shapes:
    """Return the shape of every parameter by name."""
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def account(word: str, before: Shapes, after: Shapes, edits: Collection[Edit]) -> None:
    """Check that only parameters that the edits declare were added or removed. Raises `RecipeError` (E104)."""
    made = made_prefixes(edits)
    dropped = tuple(f"{edit.address}." for edit in edits if isinstance(edit, Substitute))
    for name, _ in sorted(before.items() ^ after.items()):
        if name in before and not name.startswith(dropped):
            raise fail("E104", f"`{word}` removes the parameter `{name}`, but none of its edits replaces it")
        if name in after and not name.startswith(made):
            raise fail("E104", f"`{word}` adds the parameter `{name}`, but none of its edits declares it")
