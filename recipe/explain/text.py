"""What is explained of a recipe, as text: its plan, what it does to the model, and what it costs."""

from __future__ import annotations

import textwrap
from typing import Any

from recipe.base.rendering import render
from recipe.base.wording import columns, plural
from recipe.compiler.program import Program
from recipe.compiler.summarise import describe
from recipe.compiler.summary import BYTES
from recipe.compiler.summary_text import amount, plot, training_terms
from recipe.devices.choice import pick
from recipe.devices.precision import precision
from recipe.plan.ordering import reasons
from recipe.plan.plan import Plan


def explain(program: Program, device: str | None) -> str:
    """All that is known of a compiled recipe; ``device`` is the one to show substitutions for."""
    plan = program.plan
    sections = (
        _plan(plan),
        *_order(plan),
        *_evidence(plan),
        _rewrites(program),
        _parameters(program),
        _costs(program),
        _training(plan, program, device),
    )
    return "\n\n".join(sections)


def _plan(plan: Plan) -> str:
    rows = []
    for use in plan.uses:
        first = True
        for field in use.declared.fields:
            value = getattr(use.trick, field.name)
            shown = "–" if value is None else field.kind.write(value)
            rows.append((use.word if first else "", field.word, shown, str(use.origins[field.name])))
            first = False
        if not use.declared.fields:
            rows.append((use.word, "", "", str(use.origin)))
    title = f"plan {plan.digest}, dialect {plan.dialect}; tricks in the order in which they apply"
    warnings = f"\n\n{render(plan.warnings)}" if plan.warnings else ""
    return f"{title}\n{columns(rows, indent=2)}{warnings}"


def _order(plan: Plan) -> list[str]:
    rows = [(word, said) for word, several in reasons(plan.uses).items() for said in several]
    shown = [(word if not index or rows[index - 1][0] != word else "", said) for index, (word, said) in enumerate(rows)]
    title = "why in this order; where nothing is declared, it is that of `recipe tricks`"
    return [f"{title}\n{columns(shown, indent=2)}"] if rows else []


def _evidence(plan: Plan) -> list[str]:
    rows = [(one.verdict, use.word, one.text, one.table) for use, one in plan.evidence]
    return [f"evidence: what published tables say, of ImageNet\n{columns(rows, indent=2)}"] if rows else []


def _rewrites(program: Program) -> str:
    lines = ["rewrites"]
    for step in program.steps:
        lines.append(f"  {step.note}")
        shown = [edit for edit in step.edits if type(edit).__name__ != "Initialise"]
        lines += [textwrap.indent(str(edit), "    ") for edit in shown]
    return "\n".join(lines)


def _parameters(program: Program) -> str:
    sizes = {name: parameter.numel() for name, parameter in program.structure.named_parameters()}
    rows = []
    for fate in ("kept", "loaded", "reinitialised", "new", "dropped"):
        names = [name for name, found in program.fates.items() if found == fate]
        if names:
            count = f"{sum(sizes.get(name, 0) for name in names):,} numbers" if fate != "dropped" else ""
            rows.append(
                (
                    fate,
                    f"{plural(len(names), 'tensor')}",
                    count,
                    ", ".join(names[:2]) + (" …" if len(names) > 2 else ""),
                )
            )
    return f"parameters, against the stock model\n{columns(rows, (1, 2), indent=2)}"


def _costs(program: Program) -> str:

    costs = program.costs
    rows: list[tuple[str, ...]] = [("stage", "params", "MACs", "FLOPs", "activations", "activation memory")]
    size = BYTES[program.training.precision]
    for stage, cost in [*costs.stages.items(), ("in all", costs.total)]:
        counts = [f"{count:,}" for count in (cost.params, cost.macs, cost.flops, cost.activations)]
        rows.append((stage, *counts, amount("activation_bytes", cost.activations * size)))
    size = costs.size
    title = f"cost of one image of {size}×{size}, forward, {program.classes} classes"
    return f"{title}\n{columns(rows, range(1, 6), indent=2)}"


def _training(plan: Plan, program: Program, device: str | None) -> str:

    training, schedule = plan.training, describe(program).schedule
    lines = [
        "training",
        f"  {plural(training.epochs, 'epoch')}, batch {training.batch}"
        + (f" in parts of {training.micro}" if training.micro else "")
        + (" in the largest parts that fit" if training.micro_auto else "")
        + (f", {schedule.steps_per_epoch} steps an epoch" if schedule.steps_per_epoch else ""),
        *(f"  {line}" for line in training_terms(schedule)),
        f"  learning rate, highest {max(schedule.rates):.4g}",
        *(f"  {line}".rstrip() for line in plot(schedule).plain.split("\n")),
    ]
    for group in program.groups:
        options = ", ".join(f"{name} {_plainly(value)}" for name, value in group.options.items())
        count = sum(program.structure.get_parameter(name).numel() for name in group.names)
        lines.append(f"  {len(group.names)} tensors, {count:,} numbers: {options}")
    chosen_device = pick(device)
    lines.append(
        f"  on {chosen_device}: "
        + (precision(training.precision, chosen_device).note or f"precision {training.precision}")
    )
    return "\n".join(lines)


def _plainly(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
