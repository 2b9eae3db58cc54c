"""Prepare for training: open the images, compile the program that fits them, and identify what the run depends on."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import attrs
import torch

from recipe.base.errors import RecipeError, fail
from recipe.base.identity import file_digest, version_of
from recipe.base.wording import listing, reason_of
from recipe.compiler.lower import lower
from recipe.compiler.mismatches import heads_that_fit, mismatches
from recipe.compiler.program import Program
from recipe.compiler.weights_file import safetensors_about
from recipe.compiler.without_effect import in_processes
from recipe.data.decode import CROP
from recipe.data.fingerprint import fingerprint
from recipe.data.headers import ignored_in
from recipe.data.images import Files, Sets, unfit
from recipe.devices.choice import cores
from recipe.devices.precision import Precision
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.field_contracts import WEIGHTS, ModelFields
from recipe.plugins.fingerprint import code_by_package
from recipe.runs.environment import plugins_of
from recipe.runs.provenance import OWN_WEIGHTS, Classes, Data, Preprocessing, Provenance, changed_classes
from recipe.runs.records import Environment
from recipe.runs.trained_on import trained_on


def open_sets(plan: Plan) -> Sets:
    """Open a plan's images. Raises `RecipeError` (E070) if they are missing or unfit for training."""
    use = plan.images
    assert use is not None
    try:
        sets: Sets = call_hook(use, "open")
    except (MemoryError, RuntimeError) as error:
        reason = reason_of(error, "not enough memory")
        raise fail("E070", f"`{use.word}` can't be read: {reason}", use.span) from error
    except (OSError, ValueError) as error:
        named = isinstance(error, OSError) and error.strerror
        reason = f"{error.strerror}: {error.filename}".lower() if named else str(error)  # type: ignore[union-attr]
        raise fail("E070", f"`{use.word}`: {reason}", use.span) from error
    assert plan.image_fields is not None
    if why := unfit(sets, plan.image_fields.size):
        raise broken(use, "open", why)
    if len(sets.train.labels) < 2:
        raise fail("E070", f"`{use.word}` has fewer than two images to train on", use.span)
    if not len(sets.val.labels):
        raise fail("E070", f"`{use.word}` has no held-out images to evaluate on", use.span)
    if sets.classes < 2:
        raise fail("E070", f"`{use.word}` has fewer than two classes", use.span)
    parts = {"training": sets.train, "held-out": sets.val}
    for part, images in parts.items():
        if len(beyond := torch.nonzero((images.labels < 0) | (images.labels >= sets.classes))):
            first, most = int(beyond[0]), sets.classes - 1
            label = f"the label {int(images.labels[first])} of the {part} image {first}"
            raise fail("E070", f"`{use.word}`: {label} is not a class from 0 to {most}", use.span)
    files = {part: images.paths for part, images in parts.items() if isinstance(images, Files)}
    ignored = [note for part, paths in files.items() for note in ignored_in(paths, part)]
    return attrs.evolve(sets, notes=(*sets.notes, *ignored))


def prepare(plan: Plan, compiled: Program | None = None, processes: int = 1) -> tuple[Sets, Program]:
    """Return a plan's images and a program that fits them. Raises `RecipeError` (E071) if they don't match.

    Its warnings are those about a training in this number of processes.

    A program compiled from this exact plan is used as is: training starts from its model's weights.
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
        program = lower(plan, base=base, classes=sets.classes, other_classes=bool(other))
    program.check_classes(sets.classes)
    told = (*mismatches(program, sets, other), *in_processes(program, processes))
    return sets, attrs.evolve(program, mismatches=told)


def other_classes(plan: Plan, sets: Sets) -> str:
    """Return how the classes that the pretrained weights were trained on differ from those of the images.

    An empty string if they don't, or if the names of either are unknown. Raises `RecipeError` (E001 or E120).
    """
    weights = ModelFields.of(plan.base.trick).weights
    if not isinstance(weights, str) or not os.path.isabs(weights) or not sets.names:
        return ""
    try:
        header = safetensors_about(weights)
    except RecipeError:  # what loads it reports it, unless a plugin reads another format
        return ""
    known = trained_on(weights, header)
    if known is None or not known.classes:
        return ""
    before, now = (Classes(len(names), names) for names in (known.classes, sets.names))
    return changed_classes(before, now)


def provenance_of(plan: Plan, sets: Sets, identity: str) -> Provenance:
    """Return the provenance of a training of a plan. Reads its images: see `fingerprint`.

    ``identity`` is that of the program, which differs from the plan's digest if it has weights of its own.
    """
    files = named_files(plan) | ({OWN_WEIGHTS: identity} if identity != plan.digest else {})
    data = Data(fingerprint(sets.train), fingerprint(sets.val), files)
    return Provenance(Classes(sets.classes, sets.names), preprocessing_of(plan, sets), data)


def preprocessing_of(plan: Plan, sets: Sets) -> Preprocessing:
    """Return how a plan's images become inputs in evaluation."""
    fields = plan.image_fields
    assert fields is not None
    crop = None if sets.val.uniform else CROP
    return Preprocessing(fields.size, crop, tuple(map(float, sets.mean)), tuple(map(float, sets.std)))


def named_files(plan: Plan, digest_of: Callable[[Path], str] = file_digest) -> dict[str, str]:
    """Return the digest of each file that a value of a plan names, by trick and field: ``base weights``."""
    return {
        f"{use.word} {field.word}": digest_of(Path(value))
        for use in plan.uses
        for field in use.declared.fields
        if isinstance(value := use.values[field.name], str) and os.path.isabs(value) and not os.path.isdir(value)
    }


def environment(device: torch.device, chosen: Precision, plan: Plan) -> Environment:
    """Return the environment of a run: versions, the plugins in use with their code, and the device."""
    own = ["recipe-compiler", "torch", "torchvision", "numpy", "attrs", "lark", "timm"]
    packages = dict.fromkeys([*own, *sorted({use.declared.package for use in plan.uses})])
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
