"""The pretrained model of a recipe, which is used as it is, and the classes that its outputs stand for."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Sequence

import attrs
import numpy as np
import torch

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import listing, plural
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.data.images import Sets
from recipe.inference.figures import Integers
from recipe.inference.initial_weights import weights_about
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.field_contracts import WEIGHTS, ModelFields
from recipe.runs.provenance import Classes
from recipe.runs.trained_on import trained_on


@attrs.frozen
class Outputs:
    """The classes that the outputs of a pretrained model stand for."""

    names: tuple[tuple[str, ...], ...]
    """The names of each class, the one to show first, or empty if they are unknown."""
    note: str = ""
    """How they are known, if that is not certain."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The name of each class to show."""
        return tuple(first for first, *_ in self.names)


@attrs.frozen
class Pretrained:
    """A recipe whose weights cover the whole model, compiled."""

    program: Program
    outputs: Outputs

    @property
    def classes(self) -> Classes:
        """The number of outputs and, if they are known, the names of their classes."""
        return Classes(self.program.classes, self.outputs.shown)


def known_outputs(plan: Plan) -> Outputs:
    """Return the classes of the weights that a recipe loads: those of their run, or else the published ones.

    Raises `RecipeError` (E001 or E120) if a file states classes that can't be read.
    """
    weights, note = ModelFields.of(plan.base.trick).weights, ""
    if isinstance(weights, str) and os.path.isabs(weights):
        try:
            header = weights_about(weights)
        except RecipeError:  # what loads it reports it, unless a plugin reads another format
            header = {}
        recorded = trained_on(weights, header)
        if recorded is not None or "digest" in header:
            return Outputs(tuple((name,) for name in recorded.classes) if recorded else ())
        note = "the file of weights names no classes: they are taken to be those of the model's published weights"
    names = tuple(map(tuple, call_hook(plan.base, "class_names", at=plan.base.place(WEIGHTS))))
    return Outputs(names, note if names else "")


def pretrained_of(plan: Plan, sets: Sets | None, size: int | None = None) -> Pretrained:
    """Compile a recipe whose pretrained model is used as it is.

    The model has as many outputs as its weights, unless the recipe states another number. ``sets`` are its images, if
    they are open, and ``size`` the height and width of images for a plan without a dataset. Raises `RecipeError` (E129)
    if its weights don't cover the whole model.
    """
    outputs, present = known_outputs(plan), sets.classes if sets else None
    program = lower(plan, classes=len(outputs.names) or present, size=size)
    if program.fit and program.fit.fresh and not plan.asked_classes:
        program = lower(plan, classes=program.fit.outputs or present, size=size)
    _check_weights(program)
    return Pretrained(program, outputs if len(outputs.names) == program.classes else Outputs(()))


def _check_weights(program: Program) -> None:
    """Raise `RecipeError` (E129) if a part of a recipe's model has no pretrained weights."""
    base, fit = program.plan.base, program.fit
    if fit is None:
        message = "the recipe loads no weights: its model is not trained"
        raise fail("E129", message, base.span, help="name weights with `weights=`, or the folder of a run")
    if not fit.fresh:
        return
    message = f"the weights do not cover the whole model: {listing(fit.fresh, 4)} would be random"
    help = "train it first: `recipe run`"
    if fit.outputs not in (None, program.classes):
        help = f"the model has {plural(program.classes, 'output')}, and the weights are of {fit.outputs}"
    raise fail("E129", message, base.span, help=help)


def joined(sets: Sets, found: Pretrained) -> tuple[Integers, list[str]]:
    """Return the output of a pretrained model for each class of a dataset, by name if both are named, and notes.

    Raises `RecipeError` (E129) if an image has a class that the model has no output for.
    """
    names, note = found.outputs.names, found.outputs.note
    if not names or not sets.names:
        if sets.classes != found.program.classes:
            count, has = plural(sets.classes, "class"), plural(found.program.classes, "output")
            raise fail("E129", f"the images have {count}, but the model has {has}")
        unnamed = "the images don't" if names else "the weights don't"
        told = f"{unnamed} name their classes: the outputs of the model are matched with those of the images by order"
        return np.arange(sets.classes), [told]
    present = {sets.names[index] for index in torch.unique(sets.val.labels).tolist()}
    places = joined_by_name(sets.names, names)
    if unknown := [name for name in sets.names if name in present and places[name] is None]:
        message = f"the model has no output for the class{'es' * (len(unknown) > 1)} {listing(unknown)} of the images"
        help = f"name folders like its classes, which are {listing(found.outputs.shown, 3)}"
        raise fail("E129", message, help=f"{help}, or by their WordNet identifiers" * (len(names[0]) > 1) or help)
    absent = [name for index, (name, *_) in enumerate(names) if index not in {*places.values()}]
    notes = [*([note] if note else []), *lacked(absent, len(names), 4)]
    return np.array([-1 if places[name] is None else places[name] for name in sets.names]), notes


def lacked(absent: Collection[str], classes: int, most: int = 12) -> list[str]:
    """Return a note on the classes of a model that a dataset doesn't have, naming at most ``most``, if there are any.

    The dataset has notes of its own on classes that it has, but no images of.
    """
    some = f"{len(absent)} of the model's {plural(classes, 'class')}"
    return [f"the dataset doesn't have {some}: {listing(absent, most)}"] if absent else []


def joined_by_name(names: Sequence[str], outputs: Sequence[Sequence[str]]) -> dict[str, int | None]:
    """Return the index of the output that each name stands for, or None for a name that no output has.

    The first name of an output has precedence over the other names of another one. Case, spaces, hyphens and
    underscores only matter if outputs differ in nothing else, such as `A` and `a`. Raises `RecipeError` (E129) if a
    name stands for several outputs, or two names for one.
    """
    exact, first, every = (defaultdict[str, set[int]](set) for _ in range(3))
    for index, known in enumerate(outputs):
        exact[known[0]].add(index)
        first[_plain(known[0])].add(index)
        for name in known:
            every[_plain(name)].add(index)
    places, named = dict[str, int | None](), dict[int, str]()
    for name in names:
        found = exact.get(name) or first.get(_plain(name)) or every.get(_plain(name)) or set()
        if len(found) > 1:
            several = listing([outputs[index][-1 if len(outputs[index]) == 1 else 1] for index in sorted(found)])
            raise fail(
                "E129", f"the class `{name}` stands for several outputs: {several}", help="name it by one of these"
            )
        places[name] = place = next(iter(found), None)
        if place is not None and (other := named.setdefault(place, name)) != name:
            raise fail(
                "E129", f"the classes `{other}` and `{name}` are the same output of the model", help="merge them"
            )
    return places


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
