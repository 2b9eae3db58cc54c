"""Prepare for training: open the images, compile the program that fits them, and identify what the run depends on."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import attrs
import torch

from recipe.base.errors import fail
from recipe.base.identity import file_digest, version_of
from recipe.base.source import Span
from recipe.base.wording import listing
from recipe.compiler.lower import lower
from recipe.compiler.mismatches import heads_that_fit, mismatches
from recipe.compiler.program import Program
from recipe.compiler.without_effect import in_processes
from recipe.data.fingerprinting import fingerprint
from recipe.data.images import Sets
from recipe.devices.choice import cores
from recipe.devices.precision import Precision
from recipe.inference.datasets import open_sets, preprocessing_of
from recipe.inference.initial_weights import file_of_run, other_classes
from recipe.plan.plan import Plan
from recipe.plugins.field_contracts import WEIGHTS
from recipe.plugins.fingerprint import code_by_package
from recipe.runs.environment import plugins_of
from recipe.runs.provenance import IMAGES, OWN_WEIGHTS, Classes, Data, Provenance
from recipe.runs.records import Environment


def prepare(
    plan: Plan, compiled: Program | None = None, processes: int = 1, pretrained: bool = True
) -> tuple[Sets, Program]:
    """Return a plan's images and a program that fits them. Raises `RecipeError` (E071) if they don't match.

    Its warnings are those about a training in this number of processes.

    A program compiled from this exact plan is used as is: training starts from its model's weights. Without
    ``pretrained``, the weights that the plan names are not looked at, since the model gets others.
    """
    sets = open_sets(plan)
    other = other_classes(plan, sets)
    if compiled is not None and compiled.plan is plan and compiled.device != "meta":
        program = compiled.as_changed()
        if other and not program.altered and (heads := heads_that_fit(program)):
            message = f"the weights of {listing(heads)} are of other classes than those of the images: {other}"
            help = "pass the recipe instead of the program, or set weights of your own in its `model`"
            raise fail("E071", message, plan.base.place(WEIGHTS), help=help)
    else:
        if compiled is not None and compiled.as_changed() is not compiled:
            message = "the program's model has been changed, but training starts from another one, compiled again"
            help = "name the dataset, and everything else, in `recipe.compile`, then change the model"
            raise fail("E102", message, help=help)
        base = compiled.module if compiled else None
        program = lower(plan, base=base, classes=sets.classes, other_classes=bool(other), pretrained=pretrained)
    program.check_classes(sets.classes)
    told = (*mismatches(program, sets, other), *in_processes(program, processes))
    return sets, attrs.evolve(program, mismatches=told)


def provenance_of(plan: Plan, sets: Sets, identity: str) -> Provenance:
    """Return the provenance of a training of a plan. Reads its images: see `fingerprint`.

    ``identity`` is that of the program, which differs from the plan's digest if it has weights of its own.
    """
    files = named_files(plan) | ({OWN_WEIGHTS: identity} if identity != plan.digest else {})
    test = None if sets.test is None else fingerprint(sets.test)
    data = Data(fingerprint(sets.train), fingerprint(sets.val), files, test)
    return Provenance(Classes(sets.classes, sets.names), preprocessing_of(plan, sets), data)


def named_files(plan: Plan, digest_of: Callable[[Path], str] = file_digest) -> dict[str, str]:
    """Return the digest of each file that a value of a plan names, by trick and field: ``base weights``.

    Of the folder of a run, it is that of its weights.
    """
    found = {}
    for use in plan.uses:
        for field in use.declared.fields:
            value = use.values[field.name]
            if isinstance(value, str) and os.path.isabs(value):
                file = file_of_run(Path(value)) if os.path.isdir(value) else Path(value)
                if file is not None:
                    found[f"{use.word} {field.word}"] = digest_of(file)
    return found


def named_places(plan: Plan) -> dict[str, Span | None]:
    """Return the place of the images in a recipe, and that of each value that may name a file, by trick and field."""
    places = {IMAGES: plan.images.source} if plan.images else {}
    for use in plan.uses:
        places |= {f"{use.word} {field.word}": use.place(field.name) for field in use.declared.fields}
    return places


def environment(device: torch.device, chosen: Precision, plan: Plan) -> Environment:
    """Return the environment of a run: versions, the plugins in use with their code, and the device."""
    own = ["recipe-compiler", "torch", "torchvision", "numpy", "attrs", "lark"]
    others = {use.declared.package for use in plan.uses} | {plan.model.partition(":")[0]} & {"timm"}
    packages = dict.fromkeys([*own, *sorted(others)])
    described = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else (platform.processor() or platform.machine())
    )
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: version for name in packages if (version := version_of(name))},
        plugins=plugins_of(code_by_package(plan.uses)),
        device=str(device),
        device_name=described,
        cores=cores(),
        threads=torch.get_num_threads(),
        precision=chosen.name,
    )
