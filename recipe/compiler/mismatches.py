"""Warnings about what a recipe states of its model, which show once the model and its images are known."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real

import attrs

from recipe.base.channels import to_channels
from recipe.base.diagnostics import Diagnostic
from recipe.base.wording import listing, plural
from recipe.compiler.fit import OTHER_CLASSES, Fit
from recipe.compiler.program import Program
from recipe.compiler.without_effect import in_model, in_training
from recipe.data.images import Files, InMemory, Sets
from recipe.graph.net import Net
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import Preprocessing
from recipe.plugins.field_contracts import CLASSES, WEIGHTS

INTERPOLATION = "interpolation"

CLOSE = 0.01
"""The difference from which on numbers are reported. Sources round ImageNet's mean differently."""


def mismatches(
    program: Program, sets: Sets, other_classes: str = "", *, evaluated: bool = False
) -> tuple[Diagnostic, ...]:
    """Return warnings about words without effect, outputs without a class, and what the weights don't expect.

    ``other_classes`` describes how the weights' classes differ from the dataset's, or is empty. A model that is only
    ``evaluated`` may have outputs without a class.
    """
    plan = program.plan
    told = [*in_model(program), *in_training(program, len(sets.train.labels)), *_idle(program, sets)]
    for hook, found in (("count_images", len(sets.train.labels)), ("count_classes", sets.classes)):
        if plan.images and (counted := plan.count(hook)) not in (None, found):
            message = f"`{hook}` of `{plan.images.word}` returns {counted}, but `open` returns {found}"
            told.append(Diagnostic("W001", message, plan.images.span))
    if program.classes > sets.classes and not evaluated:
        message = f"the model has {program.classes} outputs, but the dataset has only {plural(sets.classes, 'class')}"
        told.append(Diagnostic("W001", message, plan.base.place(CLASSES)))
    if program.fit:
        told += (
            Diagnostic("W001", f"`{program.fit.source}` {clause}", plan.base.place(WEIGHTS))
            for clause in _about_weights(program, program.fit, sets, other_classes)
        )
    return tuple(told)


def _idle(program: Program, sets: Sets) -> Iterator[Diagnostic]:
    """Yield warnings about stated values that weights or a dataset leave without effect."""
    plan = program.plan
    for step in program.steps:
        use = plan.find(step.word)
        if not step.sites and use and use.stated:
            yield Diagnostic("W001", f"`{step.word}` has no effect: the weights that it sets are loaded", use.span)
    for setting, part in (("interpolation", sets.train), ("evaluation_interpolation", sets.val)):
        for use in plan.makers.get(setting, ()):
            stated = use.origins[INTERPOLATION].kind in ("file", "override", "suggestion")
            if stated and plan.images and not isinstance(part, (Files, InMemory)):
                why = f"`{plan.images.word}` loads its images itself"
                message = f"the interpolation of `{use.word}` has no effect: {why}"
                yield Diagnostic("W001", message, use.place(INTERPOLATION))


def _about_weights(program: Program, fit: Fit, sets: Sets, other_classes: str) -> Iterator[str]:
    """Yield clauses about how pretrained weights differ from the model, the classes of the images, and their inputs."""
    plan = program.plan
    if fit.strays:
        yield f"may be of another model: `{plan.model}` has no place for {plural(fit.strays, 'tensor')} of it"
    if other_classes and (heads := heads_that_fit(program)):
        differ = f"was trained on other classes than those of the images: {other_classes}"
        yield f"{differ}; a run does not load {listing(heads)}"
    expected = call_hook(plan.base, "preprocessing", at=plan.base.place(WEIGHTS))
    if expected is None:
        return
    if expected.assumed:  # the weights may have been trained on images of another size
        expected = attrs.evolve(expected, size=None, crop=None)
    mean, std = (each and to_channels(each, program.training.channels) for each in (expected.mean, expected.std))
    expected = attrs.evolve(
        expected,
        mean=mean,
        std=std,
        evaluation_size=expected.evaluation_size or expected.size,
        evaluation_interpolation=expected.evaluation_interpolation or expected.interpolation,
    )
    if unlike := [*_unlike(expected, _fed(program, sets))]:
        was = "may have been" if expected.assumed else "was"
        yield f"{was} trained on other inputs than this run feeds it: {'; '.join(unlike)}"


def heads_that_fit(program: Program) -> tuple[str, ...]:
    """Return the heads of a program's model that its pretrained weights fit, whether or not they are loaded."""
    heads, fit = Net(program.structure).heads, program.fit
    if fit is None:
        return ()
    names = [*fit.loaded, *(name for name, why in fit.fresh.items() if why == OTHER_CLASSES)]
    return tuple(head for head in heads if any(name.startswith(f"{head}.") for name in names))


def _fed(program: Program, sets: Sets) -> Preprocessing:
    """Return how a run preprocesses its images for evaluation, as far as it is known."""
    stated, crop = program.training, None
    if isinstance(sets.val, Files):
        crop = "whole" if sets.val.crop is None else sets.val.crop
    elif isinstance(sets.val, InMemory):
        crop = stated.evaluation_crop or 1.0
    size = program.costs.size
    return Preprocessing(
        mean=sets.mean,
        std=sets.std,
        size=size,
        crop=crop,
        interpolation=None if crop is None else stated.interpolation,
        evaluation_size=stated.evaluation_size or size,
        evaluation_interpolation=None if crop is None else stated.evaluation_interpolation or stated.interpolation,
    )


def _unlike(expected: Preprocessing, fed: Preprocessing) -> Iterator[str]:
    for field in attrs.fields(Preprocessing):
        wanted, given = getattr(expected, field.name), getattr(fed, field.name)
        trained = field.name.removeprefix("evaluation_")
        if trained != field.name and (wanted, given) == (getattr(expected, trained), getattr(fed, trained)):
            continue  # reported already, as that of training
        if given == 1.0 and wanted == "whole":  # images in memory are whole
            continue
        if field.name != "assumed" and wanted is not None and given is not None and not _close(wanted, given):
            yield f"{field.name.replace('_', ' ')} {_shown(wanted)}, not {_shown(given)}"


def _close(one: object, other: object) -> bool:
    if isinstance(one, Real) and isinstance(other, Real):
        return abs(float(one) - float(other)) < CLOSE
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(_close, one, other))
    return one == other


def _shown(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(map(_shown, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
