"""Explain a recipe, as data and as text: its plan, what it does to the model, and what it costs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.printable import printable, printable_lines
from recipe.base.rendering import render
from recipe.base.wording import columns, plural
from recipe.compiler.fit import Fit
from recipe.compiler.lower import lower
from recipe.compiler.mismatches import heads_that_fit, mismatches
from recipe.compiler.program import Program
from recipe.compiler.summarise import describe
from recipe.compiler.summary import BYTES
from recipe.compiler.summary_text import amount, plot, training_terms
from recipe.compiler.without_effect import in_training
from recipe.devices.choice import pick
from recipe.devices.precision import precision
from recipe.explain.balance import as_text as balance_text
from recipe.explain.balance import balance_of, is_balanced
from recipe.explain.run import as_text
from recipe.graph.edits import Initialise
from recipe.inference.datasets import open_sets
from recipe.inference.initial_weights import other_classes
from recipe.plan.ordering import reasons
from recipe.plan.plan import Plan


def as_dict(program: Program, device: str | None, run: dict[str, Any] | None = None) -> dict[str, Any]:
    """Explain a compiled recipe as plain JSON values. ``run`` has the facts of the run whose recipe it is."""
    program, warnings, balance = _as_trained(program)
    costs = program.costs
    return {
        "schema_version": 1,
        "plan": program.plan.to_dict(),
        "warnings": [warning.message for warning in warnings],
        "precision": precision(program.training.precision, pick(device)).suited(program.narrow).name,
        "edits": [
            {"trick": step.word, "kind": type(edit).__name__, **attrs.asdict(edit, value_serializer=_told)}
            for step in program.steps
            for edit in step.edits
        ],
        "order": reasons(program.plan.uses),
        "evidence": [{"trick": use.word, **attrs.asdict(evidence)} for use, evidence in program.plan.evidence],
        "sites": program.sites,
        "parameters": dict(program.fates),
        "groups": [
            {"options": dict(group.options), "tensors": len(group.names), "values": _values(program, group.names)}
            for group in program.groups_in_force
        ],
        **dict(zip(("trained", "frozen"), _trained(program), strict=True)),
        **({"weights": _fit(program.fit)} if program.fit else {}),
        "costs": {
            name: {"params": cost.params, "macs": cost.macs, "flops": cost.flops, "activations": cost.activations}
            for name, cost in [*costs.stages.items(), ("total", costs.total)]
        },
        "image_size": costs.size,
        "classes": program.classes,
        **({"balance": balance} if balance else {}),
        **({"run": run} if run else {}),
    }


def explain(program: Program, device: str | None, run: dict[str, Any] | None = None) -> str:
    """Explain a compiled recipe as text. ``device`` decides which precision substitutions it shows.

    ``run`` has the facts of the run whose recipe it is.
    """
    program, warnings, balance = _as_trained(program)
    plan = program.plan
    sections = [
        as_text(run, program.classes) if run else "",
        _plan(plan, warnings),
        _order(plan),
        _evidence(plan),
        _rewrites(program),
        _parameters(program),
        _costs(program),
        _training(program, device),
        balance_text(balance) if balance else "",
    ]
    return "\n\n".join(filter(None, sections))


def _as_trained(program: Program) -> tuple[Program, tuple[Diagnostic, ...], dict[str, Any] | None]:
    """Return a program as a run trains it, and the warnings about it, if its images can be opened here.

    If tricks treat classes differently, also return how, as `balance_of` does. A run does not load the last layer of
    weights for other classes than those of its images.
    """
    plan = program.plan
    if plan.images is None or not (program.fit or plan.asked_classes or is_balanced(plan)):
        images = plan.count("count_images")
        return program, (*program.warnings, *(in_training(program, images) if images else ())), None
    try:
        sets = open_sets(plan)
        other = other_classes(plan, sets)
        if other and heads_that_fit(program):
            program = lower(plan, device="meta", classes=program.classes, other_classes=True)
        balance = balance_of(plan, sets) if is_balanced(plan) else None
        return program, (*plan.warnings, *mismatches(program, sets, other)), balance
    except RecipeError as error:
        why = f"whether the images suit the model is unknown: {error.diagnostics[0].message}"
        return program, (*program.warnings, Diagnostic("W001", why, plan.images.span)), None


def _told(edit: Any, attribute: Any, value: Any) -> Any:
    """Return a value of an edit for JSON. One that JSON has no type for, such as a torch.dtype, becomes a string."""
    if isinstance(value, (tuple, list)):
        return (list if isinstance(value, list) else tuple)(_told(edit, attribute, each) for each in value)
    if isinstance(value, dict):
        return {str(name): _told(edit, attribute, each) for name, each in value.items()}
    return value if isinstance(value, (bool, int, float, str, type(None))) or attrs.has(type(value)) else str(value)


def _fit(fit: Fit) -> dict[str, Any]:
    """Describe pretrained weights as plain JSON values."""
    loaded, every = fit.parameters
    counts = {"loaded": loaded, "total": every}
    fields = attrs.fields(Fit)
    left_out = attrs.filters.exclude(fields.naming, fields.unknown, fields.outputs)
    described = attrs.asdict(fit, filter=left_out)
    return {**described, "found": [fit.unknown] if fit.unknown else described["found"], "parameters": counts}


def _plan(plan: Plan, told: tuple[Diagnostic, ...]) -> str:
    rows = []
    for use in plan.uses:
        word = use.word
        for field in use.fields:
            value = use.value(field)
            shown = "–" if value is None else field.kind.write(value)
            unset = f": {field.unset}" if value is None and field.unset else ""
            rows.append((word, field.word, shown, f"{use.origin_of(field)}{unset}"))
            word = ""
        if not use.fields:
            rows.append((word, "", "", str(use.origin)))
    title = f"plan {plan.digest}, dialect {plan.dialect}; tricks in order of application"
    warnings = f"\n\n{render(told)}" if told else ""
    return f"{title}\n{columns(rows, indent=2)}{warnings}"


def _order(plan: Plan) -> str:
    rows = [
        ("" if index else word, reason)
        for word, several in reasons(plan.uses).items()
        for index, reason in enumerate(several)
    ]
    title = "reasons for the order; tricks without one follow the order of `recipe tricks`"
    return f"{title}\n{columns(rows, indent=2)}" if rows else ""


def _evidence(plan: Plan) -> str:
    rows = [(evidence.verdict, use.word, evidence.text, evidence.source) for use, evidence in plan.evidence]
    return f"evidence from published tables, on ImageNet\n{columns(rows, indent=2)}" if rows else ""


def _rewrites(program: Program) -> str:
    lines = ["rewrites"]
    for step in program.steps:
        lines.append(f"  {printable(step.note)}")
        lines += [
            textwrap.indent(printable_lines(edit), "    ") for edit in step.edits if not isinstance(edit, Initialise)
        ]
    return "\n".join(lines)


def _parameters(program: Program) -> str:
    sizes = {name: parameter.numel() for name, parameter in program.structure.named_parameters()}
    rows = []
    for fate in ("kept", "loaded", "reinitialised", "new", "dropped"):
        if names := [name for name in program.fates if program.fates[name] == fate]:
            count = plural(sum(sizes.get(name, 0) for name in names), "value", form=",") if fate != "dropped" else ""
            first = ", ".join(names[:2]) + (" …" if len(names) > 2 else "")
            rows.append((fate, plural(len(names), "tensor"), count, first))
    notes = "".join(f"\n  {note}" for note in (program.fit.notes if program.fit else ()))
    return f"parameters, compared with the stock model\n{columns(rows, (1, 2), indent=2)}{notes}"


def _costs(program: Program) -> str:
    costs, number = program.costs, BYTES[program.training.precision]
    rows: list[tuple[str, ...]] = [("stage", "params", "MACs", "FLOPs", "activations", "activation memory")]
    for stage, cost in [*costs.stages.items(), ("overall", costs.total)]:
        counts = [f"{count:,}" for count in (cost.params, cost.macs, cost.flops, cost.activations)]
        rows.append((stage, *counts, amount("activation_bytes", cost.activations * number)))
    title = f"forward cost per image ({costs.size}×{costs.size}, {plural(program.classes, 'class')})"
    return f"{title}\n{columns(rows, range(1, 6), indent=2)}"


def _training(program: Program, device: str | None) -> str:
    training, schedule, at = program.training, describe(program).schedule, pick(device)
    steps = f", {plural(schedule.steps_per_epoch, 'step')} per epoch" if schedule.steps_per_epoch else ""
    parts = f" in micro-batches of {training.micro}" if training.micro else ""
    parts += " in the largest micro-batches that fit" if training.micro_auto else ""
    lines = [
        f"{plural(training.epochs, 'epoch')}, batch {training.batch}{parts}{steps}",
        *training_terms(schedule),
        *_spans(program.plan, schedule.steps_per_epoch),
        f"highest learning rate {schedule.highest:.4g}",
        *plot(schedule).plain.split("\n"),
    ]
    for group in program.groups_in_force:
        told = (name if value is True else f"{name} {_plainly(value)}" for name, value in group.options.items())
        values = plural(_values(program, group.names), "value", form=",")
        lines.append(f"{plural(len(group.names), 'tensor')}, {values}: {printable(', '.join(told))}")
    count, frozen = _trained(program)
    if frozen:
        lines.append(f"{count:,} parameters are trained, {frozen:,} are frozen for the entire training")
    for use, _ in program.freezing.changing:
        lines.append(f"`{use.word}` freezes at some steps, {_saving(training.compile_mode is not None)}")
    note = precision(training.precision, at).suited(program.narrow).note or f"precision {training.precision}"
    return "\n".join(["training", *(f"  {line}".rstrip() for line in lines), f"  on {at}: {note}"])


def _saving(compiled: bool) -> str:
    """Describe whether freezing at some steps saves time, which `Trainer.holding` decides."""
    if compiled:
        return "which saves no time: with `compile`, all gradients are computed"
    return "which saves time in one process; several processes compute all gradients"


def _spans(plan: Plan, steps_per_epoch: int | None) -> Iterator[str]:
    """Yield a line for each trick that acts in a part of the training, with its steps if they are known."""
    epochs = plan.training.epochs
    for use in plan.uses:
        during = use.during
        if not during:
            continue
        begin = 0.0 if during.from_ is None else during.from_.epoch(epochs)
        end = epochs if during.until is None else min(epochs, during.until.epoch(epochs))
        per_epoch = steps_per_epoch or 0
        steps = during.steps(per_epoch, epochs)
        if begin >= end or (per_epoch and not steps):
            yield f"`{use.word}` acts in no step"
            continue
        told = f" (steps {steps.start + 1:,} to {steps.stop:,} of {per_epoch * epochs:,})" if steps else ""
        yield f"`{use.word}` acts from epoch {begin:.4g} to {end:.4g} of {epochs}{told}"


def _values(program: Program, names: Iterable[str]) -> int:
    return sum(program.structure.get_parameter(name).numel() for name in names)


def _trained(program: Program) -> tuple[int, int]:
    """Return how many parameters are trained, if only at some steps, and how many are not."""
    frozen = program.freezing.throughout.parameters
    count = _values(program, (name for group in program.groups for name in group.names if name not in frozen))
    return count, program.costs.params - count


def _plainly(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
