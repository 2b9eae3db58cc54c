"""The parameter groups of a program, as the tricks of a plan set their options, and the optimizer of these groups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from sys import float_info
from typing import Any

import attrs
import torch
from torch import fx, nn

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import fail
from recipe.base.wording import listing
from recipe.compiler.summary import Group
from recipe.graph.depth import Depths
from recipe.graph.net import Net
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.contexts import ParamPlace
from recipe.plugins.uses import Use

SCALE = "lr_scale"
"""The option that scales the learning rate of a group. The optimizer doesn't know it: it gets the scaled rate."""

DECAY = "weight_decay"

HOOK = "param_options"

NOT_BY_GROUP = {"lr", "params", "names", "fused", "foreach", "capturable", "differentiable"}
"""Names in a parameter group that no trick sets: the rate, the parameters, and how the optimizer computes."""


def groups_of(plan: Plan, graph: fx.GraphModule, depths: Depths, without: Use | None = None) -> tuple[Group, ...]:
    """Group the trainable parameters by the options that tricks, other than ``without``, set for them.

    ``depths`` are those of the parameters, by name, or empty if unknown. See `recipe.graph.depth`.

    If several tricks scale the rate of a parameter, the factors multiply. For other options, the last trick decides.
    Raises `RecipeError` (E080) for an option that has no effect, or a value that the option can't have.
    """
    groups: dict[tuple[tuple[str, Any], ...], list[str]] = {}
    defaults: dict[str, Any] = {}
    uses = [use for use in plan.hooked(HOOK) if use is not without]
    heads, layers = tuple(f"{head}." for head in Net(graph).heads), max(depths.values(), default=-1) + 1
    for name, parameter in graph.named_parameters():
        if not parameter.requires_grad:
            continue
        owner, scale = graph.get_submodule(name.rpartition(".")[0]), 1.0
        place = ParamPlace(head=name.startswith(heads), depth=depths.get(name), layers=layers)
        options: dict[str, Any] = {DECAY: plan.training.weight_decay}
        for use in uses:
            told = dict(call_hook(use, HOOK, name, parameter, owner, place))
            if not told.keys() <= {SCALE, DECAY}:
                defaults = defaults or _defaults(plan)
            _check(use, name, told, defaults, plan)
            told = {option: float(value) if _is_amount(value) else value for option, value in told.items()}
            scale *= told.pop(SCALE, 1.0)
            options |= told
        if scale != 1.0:
            options[SCALE] = scale
        groups.setdefault(tuple(sorted(options.items())), []).append(name)
    return tuple(Group(dict(options), tuple(names)) for options, names in groups.items())


def trained(groups: Iterable[Group], frozen: Collection[str]) -> tuple[Group, ...]:
    """Return groups without frozen parameters."""
    left = (attrs.evolve(group, names=tuple(name for name in group.names if name not in frozen)) for group in groups)
    return tuple(group for group in left if group.names)


def optimizer_groups(groups: Sequence[Group], model: nn.Module) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups for a program's model. Each lists parameter names in ``names``.

    Raises `RecipeError` (E102) if the model has other parameters, if all are frozen, or if other ones than before are.
    """
    every = dict(model.named_parameters())
    if other := [name for group in groups for name in group.names if name not in every]:
        help = "pass the `model` of the program or a copy of it, before it is compiled, wrapped or rewritten"
        raise fail("E102", f"the model has no parameter `{other[0]}`, so it is not a model of this program", help=help)
    parameters = {name: parameter for name, parameter in every.items() if parameter.requires_grad}
    made = []
    for group in groups:
        names = [name for name in group.names if name in parameters]  # the user may have frozen some since
        if names:
            made.append({**group.options, "params": [parameters[name] for name in names], "names": names})
    if not made:
        raise fail("E102", "the model has no trainable parameters: all are frozen")
    if thawed := parameters.keys() - {name for group in made for name in group["names"]}:
        message = f"`{min(thawed)}` was frozen when the recipe was compiled, but is not frozen now"
        raise fail("E102", message, help="freeze or unfreeze parameters before you compile the model")
    return made


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Write a learning rate to an optimizer's parameter groups, times the factor of each group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(SCALE, 1.0)


def members(groups: list[dict[str, Any]]) -> set[tuple[int, str]]:
    """Return the parameters of groups, by identity, with their names."""
    pairs = (zip(group["params"], group.get("names", ()), strict=False) for group in groups)
    return {(id(parameter), name) for group in pairs for parameter, name in group}


def begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Start momentum at zero, which changes no update.

    If a fused SGD skips its first update because of an infinite gradient, it would otherwise use uninitialized memory.
    """
    for group in optimizer.param_groups:
        if isinstance(optimizer, torch.optim.SGD) and group["momentum"] and not group["dampening"]:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def decay_without_effect(plan: Plan, groups: tuple[Group, ...]) -> Iterator[Diagnostic]:
    """Warn about weight decay if the plan's optimizer doesn't know that option."""
    decay = max((float(group.options[DECAY]) for group in groups), default=0.0)
    optimizer = plan.hooked("optimize")[0]
    if decay and DECAY not in _defaults(plan):
        message = f"the weight decay of {decay:g} has no effect: `{optimizer.word}` has no option `{DECAY}`"
        yield Diagnostic("W001", message, optimizer.span, help="write `decay 0` or choose another optimizer")


def options_without_effect(
    plan: Plan, graph: fx.GraphModule, depths: Depths, frozen: Collection[str]
) -> Iterator[Diagnostic]:
    """Warn about each stated trick whose options change no parameter, apart from ``frozen`` ones."""
    groups = trained(groups_of(plan, graph, depths), frozen)
    for use in plan.hooked(HOOK):
        if use.stated and trained(groups_of(plan, graph, depths, without=use), frozen) == groups:
            yield Diagnostic("W001", f"`{use.word}` has no effect: it changes the options of no parameter", use.span)


def _defaults(plan: Plan) -> dict[str, Any]:
    """Return the options that the plan's optimizer knows, with their defaults."""
    group = {"params": [nn.Parameter(torch.zeros(1))], "names": ["weight"], DECAY: plan.training.weight_decay}
    optimizer = call_hook(plan.hooked("optimize")[0], "optimize", [group], plan.training.rate)
    return {name: value for name, value in optimizer.defaults.items() if name not in NOT_BY_GROUP}


def _check(use: Use, parameter: str, told: Mapping[str, Any], defaults: Mapping[str, Any], plan: Plan) -> None:
    for name, value in told.items():
        if name in (SCALE, DECAY):
            expects = "" if _is_amount(value) else "a number of at least 0"
        elif name in defaults:
            expects = _expected(value, defaults[name])
        else:
            why = f"`{name}`, for `{parameter}`, is not an option of `{plan.hooked('optimize')[0].word}`"
            if name == "lr":
                why = f"`lr`, for `{parameter}`, has no effect: the learning rate is set before each step"
            help = f"return {listing([SCALE, DECAY, *defaults])}; `{SCALE}` is a factor of the learning rate"
            raise broken(use, HOOK, why, help=help)
        if expects:
            raise broken(use, HOOK, f"`{name}`, for `{parameter}`, must be {expects}, not {value!r:.60}")


def _is_amount(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= float_info.max  # type: ignore[operator]


def _expected(value: object, default: object) -> str:
    """Return what an option must be, in words, or nothing if it is a value like its default."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "True or False"
    if isinstance(default, (int, float)):
        return "" if _is_amount(value) else "a number of at least 0"
    if isinstance(default, (tuple, list)):
        alike = isinstance(value, tuple) and len(value) == len(default) and all(map(_is_amount, value))
        return "" if alike else f"a tuple of {len(default)} numbers of at least 0"
    return "" if default is None or isinstance(value, type(default)) else f"of type {type(default).__name__}"
