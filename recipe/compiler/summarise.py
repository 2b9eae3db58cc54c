"""Summarize a compiled program as a `ProgramSummary`: operations, tensors and settings as plain data."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn

from recipe.compiler.program import Program
from recipe.compiler.summary import CURVE, Node, ProgramSummary, Schedule, Tensor
from recipe.graph.calls import has_aux_heads
from recipe.graph.cost import Cost
from recipe.graph.edits import Insert, SetAttribute, Substitute
from recipe.graph.net import Net, owner
from recipe.plugins.calling import call_hook
from recipe.plugins.kinds import RecipeFile
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training
from recipe.plugins.uses import Use

PLAIN = (bool, int, float, str, type(None))
SHORT = 2000
"""The number of steps of a training up to which the learning rate of each one is looked at."""

STEPS = 1000
"""Steps per epoch of a learning-rate curve if the number of images is unknown."""


def describe(program: Program) -> ProgramSummary:
    """Return the summary of a program. A pure function."""
    return ProgramSummary(
        digest=program.identity,
        model=program.plan.model if program.module is None else type(program.module).__name__,
        size=program.costs.size,
        classes=program.classes,
        precision=program.training.precision,
        nodes=_nodes(program),
        stages=dict(program.costs.stages),
        tensors=_tensors(program.structure),
        fates=dict(program.fates),
        replaced={
            edit.address: step.word for step in program.steps for edit in step.edits if isinstance(edit, Substitute)
        },
        schedule=_schedule(program, program.plan.count("count_images")),
        stem=Net(program.structure).stem_weight,
    )


def _nodes(program: Program) -> tuple[Node, ...]:
    net = Net(program.structure)
    stages = net.stages
    blocks = _blocks(net)
    makers = _makers(program)
    names = _addresses(net, blocks)
    nodes = []
    for node in net.nodes:
        if node.op in ("placeholder", "output") or isinstance(net.module(node), nn.Identity):
            continue
        address, block = names[node], blocks.get(node, "")
        kind, settings = _kind(net, node)
        maker, touched = makers.get(address.partition("#")[0], ("", ()))
        nodes.append(
            Node(
                address=address,
                name=address.removeprefix(f"{block}.") if block else address,
                stage=stages[node],
                block=block,
                kind=kind,
                settings=settings,
                reads=tuple(names.get(value, "image") for value in node.all_input_nodes),
                shape=tuple(node.meta.get("shape", ()))[1:],
                cost=node.meta.get("cost", Cost()),
                by=maker,
                touched=touched,
            )
        )
    return tuple(nodes)


def _blocks(net: Net) -> dict[fx.Node, str]:
    """Map each node in a residual block to its block. Nodes with an address below the block's belong to it too."""
    blocks = {node: block.where for block in net.blocks for node in (*block.trunk, *block.shortcut, block.add)}
    addresses = {block.where for block in net.blocks}
    for node in net.nodes:
        address = owner(node)
        if node not in blocks and address:
            parts = address.split(".")
            under = (".".join(parts[:depth]) for depth in range(len(parts), 0, -1))
            block = next((address for address in under if address in addresses), None)
            if block is not None:
                blocks[node] = block
    return blocks


def _addresses(net: Net, blocks: Mapping[fx.Node, str]) -> dict[fx.Node, str]:
    """Name every node by its location, regardless of how many nodes come before it."""
    names: dict[fx.Node, str] = {}
    counts: dict[str, int] = {}
    for node in net.nodes:
        if isinstance(net.module(node), nn.Identity):  # a no-op, named after its input
            names[node] = names[node.all_input_nodes[0]]
        elif node.op == "call_module":
            names[node] = net.address(node)
        elif node.op == "placeholder":
            names[node] = "image"
        else:
            where = blocks.get(node) or owner(node)
            base = str(node.target) if node.op == "get_attr" else f"{where}.{_function(node)}".removeprefix(".")
            counts[base] = counts.get(base, 0) + 1
            names[node] = base if counts[base] == 1 else f"{base}#{counts[base]}"
    return names


def _function(node: fx.Node) -> str:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return {"iadd": "add", "add_": "add", "imul": "mul", "mul_": "mul"}.get(name, name)


def _makers(program: Program) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Map each address that an edit made or changed to the trick and the settings it changed (``*``: all)."""
    makers: dict[str, tuple[str, tuple[str, ...]]] = {}
    for step in program.steps:
        for edit in step.edits:
            if isinstance(edit, SetAttribute):
                makers[edit.address] = (step.word, (*makers.get(edit.address, ("", ()))[1], edit.name))
            elif isinstance(edit, (Substitute, Insert)):
                makers |= {address: (step.word, ("*",)) for address, _ in edit.chain}
    return makers


def _kind(net: Net, node: fx.Node) -> tuple[str, dict[str, Any]]:
    """Return the kind of a node and its settings."""
    if node.op == "call_module":
        module = net.module(node)
        assert module is not None
        return type(module).__name__, _settings(module)
    if node.op == "get_attr":
        thing: Any = net.graph_module
        for part in str(node.target).split("."):
            thing = getattr(thing, part)
        if isinstance(thing, nn.Module):
            shapes = {name: tuple(p.shape) for name, p in thing.named_parameters()}
            return type(thing).__name__, shapes
        return "tensor", {"shape": tuple(thing.shape)}
    plain = {str(i): _plain(arg) for i, arg in enumerate(node.args) if not isinstance(arg, fx.Node)}
    named = {name: _plain(arg) for name, arg in node.kwargs.items() if not isinstance(arg, fx.Node)}
    return _function(node), plain | named


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list, torch.Size)):
        return tuple(_plain(part) for part in value)
    if isinstance(value, fx.Node):
        return "…"  # listed in `reads`
    return value if isinstance(value, PLAIN) else str(value)


def _settings(module: nn.Module) -> dict[str, Any]:
    """Return the constructor arguments that a module keeps and, unless it is one of torch's, its shapes."""
    settings: dict[str, Any] = {}
    for name in inspect.signature(type(module).__init__).parameters:
        value = getattr(module, name, inspect.Parameter.empty)
        if name == "bias" and (value is None or isinstance(value, torch.Tensor)):
            value = value is not None
        if name in ("self", "device", "dtype") or value is inspect.Parameter.empty:
            continue
        if isinstance(value, (*PLAIN, tuple, list)):
            settings[name] = _plain(value)
    if not type(module).__module__.startswith("torch.nn."):  # the arguments of torch's own modules determine the shapes
        settings |= {name: tuple(p.shape) for name, p in module.named_parameters()}
    return settings


def _tensors(model: nn.Module) -> tuple[Tensor, ...]:
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return tuple(Tensor(name, tuple(t.shape), name in parameters) for name, t in model.state_dict().items())


def _schedule(program: Program, images: int | None) -> Schedule:
    plan, training, classes = program.plan, program.training, program.classes
    steps = training.steps(images) if images else None
    per_epoch = steps or STEPS
    last = training.epochs * per_epoch - 1

    def rate(step: int) -> float:
        return plan.learning_rate(Progress(step, per_epoch, training.epochs, training.warmup))

    rates = tuple(rate(round(i * last / (CURVE - 1))) for i in range(CURVE))
    target = nn.functional.one_hot(torch.zeros(1, dtype=torch.long), classes).float()
    for use in plan.hooked("smooth_targets"):
        target = call_hook(use, "smooth_targets", target)
    terms = [_term(use) + ", cross entropy otherwise" * bool(use.during) for use in plan.hooked("loss")]
    terms = terms or ["cross entropy"]
    if has_aux_heads(program.structure):
        terms = [*terms, f"{training.aux_weight:g} × {terms[0]} of the auxiliary heads"]
    terms += [_term(use) for use in plan.hooked("loss_term")]
    return Schedule(
        epochs=training.epochs,
        batch=training.batch,
        micro="auto" if training.micro_auto else training.micro,
        images=images,
        steps_per_epoch=steps,
        rates=rates,
        highest=max(*rates, *map(rate, _turns(training, per_epoch))),
        groups=program.groups_in_force,
        targets=(float(target[0, 0]), float(target[0, 1]) if classes > 1 else 0.0),
        mixes=tuple(use.statement() for use in plan.hooked("mix")),
        terms=tuple(terms),
    )


def _turns(training: Training, per_epoch: int) -> list[int]:
    """Return the steps where a schedule may be highest: all of a short one, or else the ends of epochs and warmup."""
    total = training.epochs * per_epoch
    if total <= SHORT:
        return [*range(total)]
    epochs = range(0, training.epochs, -(-training.epochs // SHORT))
    ends = [step for epoch in epochs for step in (epoch * per_epoch, (epoch + 1) * per_epoch - 1)]
    risen = math.ceil(training.warmup * per_epoch)
    return [*ends, *(step for step in (risen - 1, risen) if 0 <= step < total)]


def _term(use: Use) -> str:
    """Describe a term of the loss. A teacher is identified by its plan, as in the digest, not by its path."""
    parts = [use.word]
    for field in use.fields:
        value = use.value(field)
        if value is None:
            continue
        shown = f"plan-{value.digest[:8]}" if isinstance(value, RecipeFile) else field.kind.write(value)
        parts.append(f"{field.word}={shown}")
    return " ".join(parts)
