"""The parameters of a model, grouped by the options that tricks give them."""

from __future__ import annotations

from typing import Any

from torch import nn

from recipe.base.errors import fail
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook


def parameter_groups(plan: Plan, model: nn.Module) -> list[dict[str, Any]]:
    """The parameters, grouped by the options that tricks give them. Each group names its parameters in ``names``."""
    groups: dict[tuple[tuple[str, Any], ...], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        owner = model.get_submodule(name.rpartition(".")[0])
        options: dict[str, Any] = {"weight_decay": plan.training.weight_decay}
        for use in plan.hooked("param_options"):
            options |= call_hook(use, "param_options", name, parameter, owner)
        key = tuple(sorted(options.items()))
        group = groups.setdefault(key, {"params": [], "names": [], **options})
        group["params"].append(parameter)
        group["names"].append(name)
    if not groups:
        raise fail("E102", "the model has no parameter that trains: all are frozen")
    return list(groups.values())
