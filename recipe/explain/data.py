"""What is explained of a recipe, as plain JSON values."""

from __future__ import annotations

from typing import Any

import attrs

from recipe.compiler.program import Program
from recipe.devices.choice import pick
from recipe.devices.precision import precision
from recipe.plan.ordering import reasons


def as_dict(program: Program, device: str | None) -> dict[str, Any]:
    """What is explained as plain JSON values."""
    costs = program.costs
    return {
        "schema_version": 1,
        "plan": program.plan.to_dict(),
        "warnings": [warning.message for warning in program.plan.warnings],
        "precision": precision(program.training.precision, pick(device)).name,
        "edits": [
            {"trick": step.word, "kind": type(edit).__name__, **attrs.asdict(edit)}
            for step in program.steps
            for edit in step.edits
        ],
        "order": reasons(program.plan.uses),
        "evidence": [{"trick": use.word, **attrs.asdict(one)} for use, one in program.plan.evidence],
        "sites": program.sites,
        "parameters": dict(program.fates),
        "costs": {
            name: {"params": cost.params, "macs": cost.macs, "flops": cost.flops, "activations": cost.activations}
            for name, cost in [*costs.stages.items(), ("total", costs.total)]
        },
        "image_size": costs.size,
        "classes": program.classes,
    }
