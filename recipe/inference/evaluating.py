"""Evaluate a run, or the pretrained model of a recipe, on labeled images."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import fx

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import listing, plural
from recipe.compiler.mismatches import mismatches
from recipe.data.encoded import ImageSource
from recipe.data.fingerprinting import fingerprint
from recipe.data.images import Files, Images, Sets
from recipe.devices.distributed import Ranks
from recipe.graph.shapes import propagate
from recipe.inference.datasets import EVALUATED_ON, EVALUATION, explained, open_sets, preprocessing_of
from recipe.inference.evaluation import Evaluation
from recipe.inference.figures import Integers
from recipe.inference.given import Pictures, labeled
from recipe.inference.layout import memory_format
from recipe.inference.pretrained_outputs import Pretrained, joined, lacked, pretrained_of
from recipe.inference.replaced import check_pretrained, check_replaced, evaluating, untrained, warned
from recipe.inference.trained import Trained
from recipe.language.recipe_input import override
from recipe.plan.bind import bind
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.field_contracts import APPEARANCE, ON_ERROR, SIZE, SKIP, WEIGHTS
from recipe.plugins.kinds import RecipeFile
from recipe.plugins.settings import Training
from recipe.runs import held_out
from recipe.runs.provenance import Classes, Preprocessing, read_provenance
from recipe.runs.reader import summary_of
from recipe.runs.recipe_lock import open_lock

Seen = frozenset[ImageSource]
"""The images that a run was trained on, as far as they are files."""

NONE_SEEN: Seen = frozenset()


@attrs.frozen
class Computing:
    """How an evaluation computes: its batches, its workers, and the processes that share the images."""

    batch: int | None = None
    """How many images are computed at a time, or None for the training's batch or micro-batch, at most 256."""
    workers: int | None = None
    """The number of processes that decode images; None chooses it."""
    ranks: Ranks = attrs.field(factory=Ranks)


def evaluate_trained(
    folder: Path,
    plan: Plan,
    trained: Trained,
    note: str,
    statements: tuple[str, ...],
    computing: Computing,
    on: str = "val",
) -> Evaluation:
    """Evaluate the run in a folder on its held-out images, or on those of ``data`` in statements laid over its plan.

    ``on`` is ``test`` for the test images instead of the held-out ones. If the held-out images are no longer where the
    recipe says, the figures are of the outputs that the training recorded for them, and a note says so.

    Raises `RecipeError`: E070 if images can't be read, E103 if the model can't process images of a stated size, E129 if
    statements replace anything but the data, the batch and how images are evaluated, or if the images have other
    classes than the run.
    """
    if on == "val" and not statements and _moved(plan) and (recorded := _recorded(folder, plan, trained, note)):
        return recorded
    new = laid_over(plan, statements)
    made = attrs.evolve(trained.preprocessing, **_stated(new))
    if plan.training.evaluation_crop and made.crop == trained.preprocessing.crop:  # also of images in memory
        new = attrs.evolve(new, training=attrs.evolve(new.training, evaluation_crop=made.crop))
    if made.size != trained.preprocessing.size:
        propagate(copy.deepcopy(trained.model).to("meta"), made.size, plan.model)
    sets, seen = _others(plan, new, made, on) if statements else (_own(new, made, on), NONE_SEEN)
    outputs, notes = matched(sets, trained.classes)
    over = [warning for warning in new.warnings if warning.span and warning.span.source.kind == "override"]
    notes += [warning.message for warning in over] if statements else _changes(folder, sets, on)
    whole = made.crop is not None and not new.training.evaluation_crop
    notes += [*_uncropped(sets.val, made.crop if whole else None), *([note] if note else [])]
    trained = attrs.evolve(trained, training=new.training, preprocessing=made)
    return _evaluated(str(folder), new, sets, trained, outputs, notes, computing, seen)


def evaluate_recipe(
    plan: Plan,
    name: str,
    device: torch.device,
    computing: Computing,
    model: fx.GraphModule | None = None,
    on: str = "val",
) -> Evaluation:
    """Evaluate the pretrained model of a recipe on its held-out images, without training.

    These are all images if the recipe leaves open which ones are held out, unless the weights are those of a run that
    was trained on some of them. ``on`` is ``test`` for the test images instead of the held-out ones. The classes of the
    images are matched with those of the weights by name, if both are known. ``model`` is the model, if it is loaded
    already. Raises `RecipeError` (E129) if the recipe doesn't load weights for the whole model, if the model has no
    output for a class, or if statements on top of the recipe only change how it would be trained.
    """
    if plan.images is None:
        raise fail("E129", "the recipe names no dataset to evaluate on", help='add one: `data folder "photos"`')
    if model is None:
        check_pretrained(plan)
    run, seen = _run_of(plan), NONE_SEEN
    if run is None:
        sets = open_sets(plan, training=False, on=on, external=True)
    else:
        sets, seen = _others(run, plan, None, on)
    found = pretrained_of(plan, sets)
    outputs, notes = joined(sets, found)
    made = preprocessing_of(plan, sets)
    trained = placed(found, device, made) if model is None else Trained(model, plan.training, found.classes, made)
    if not found.outputs.names:  # matched by order
        trained = attrs.evolve(trained, classes=Classes(sets.classes, sets.names))
    unlike = [warning.message for warning in mismatches(found.program, sets, evaluated=True)]
    notes = [*warned(plan), *unlike, *untrained(plan), *notes]
    return _evaluated(name, plan, sets, trained, outputs, notes, computing, seen)


def placed(found: Pretrained, device: torch.device, preprocessing: Preprocessing) -> Trained:
    """Return a pretrained model with its weights on a device."""
    program = found.program
    layout = memory_format(program.training)
    model = program.materialise().to(device=device, memory_format=layout).eval()  # type: ignore[call-overload]
    return Trained(model, program.training, found.classes, preprocessing)


def check_part(on: object) -> None:
    """Raise `ValueError` if a part of a dataset is not one to evaluate on."""
    if on not in ("val", "test"):
        raise ValueError(f"`on` must be `val` or `test`, not {on!r:.60}")


def laid_over(plan: Plan, statements: tuple[str, ...]) -> Plan:
    """Return a run's plan with statements laid over it, which may replace its data, its batch and its evaluation.

    The images keep the size and the appearance that the run was trained on, unless the evaluation states another size.
    Raises `RecipeError` (E129) for anything else.
    """
    if not statements:
        return plan
    kept = plan.image_fields
    assert kept is not None
    values = (value for use in plan.uses for value in use.values.values())
    teachers = {Path(value.path): value.digest for value in values if isinstance(value, RecipeFile)}
    over = override(statements)
    new = bind([*plan.sources, *over], plan.vocabulary, teachers=teachers)
    check_replaced(plan, new)
    if (stated := evaluating(plan)) and not evaluating(new):
        message = f"`{stated[0].word}` can't be dropped: images are evaluated as the run states"
        raise fail("E129", message, help=f"state other values, such as `{stated[0].word} crop=90%`")
    use = new.images
    if use is None:
        raise fail("E129", "the statements drop the dataset", help="name another one, such as `data folder`")
    changed = {}
    for name in (SIZE, *APPEARANCE):
        value, own = use.values.get(name), getattr(kept, name)
        if value in (own, None):
            continue
        if use.origins[name].kind == "override":
            help, trained = f"leave `{name}=` out", f"`{name}={own}`, not `{name}={value}`"
            if name == SIZE:
                help, trained = f"{help}, or state it as `evaluation {SIZE}=…`", f"images of {own} pixels, not {value}"
            raise fail("E129", f"the run was trained on {trained}", use.place(name), help=help)
        changed[name] = own
    if kept.skips and ON_ERROR in use.values and use.origins[ON_ERROR].kind != "override":
        changed[ON_ERROR] = SKIP
    if not changed:
        return new
    trick: Any = use.trick
    kept_so = attrs.evolve(use, trick=attrs.evolve(trick, **changed))
    return attrs.evolve(new, uses=tuple(kept_so if one is use else one for one in new.uses))


def _stated(new: Plan) -> dict[str, Any]:
    """Return what statements that are laid over a run state about its evaluation, as parts of its preprocessing.

    All that they leave out stays as in the run, whatever it would be in a new recipe.
    """
    made = dict[str, Any]()
    for use in evaluating(new):
        fields = (field for field in use.declared.fields if not field.required)
        rest = {field.name: field.default for field in fields if use.origins[field.name].kind != "override"}
        alone = attrs.evolve(use, trick=type(use.trick)(**(use.values | rest)))
        made |= call_hook(alone, "configure", Training())
    stated = {name.removeprefix("evaluation_"): made[name] for name in EVALUATION if made.get(name)}
    if stated.pop("whole", False):
        stated["crop"] = None
    return stated


def matched(sets: Sets, classes: Classes) -> tuple[Integers, list[str]]:
    """Return the output of the model for each class of a dataset, by name if both are named, and notes.

    Raises `RecipeError` (E129) if an image has a class that the model was not trained on.
    """
    if not sets.names or not classes.names:
        if sets.classes != classes.count:
            count = plural(sets.classes, "class")
            raise fail("E129", f"the images have {count}, but the model was trained on {classes.count}")
        unnamed = "the images" if classes.names else "the run"
        notes = [f"{unnamed} don't name their classes, so they are matched by their order"]
        return np.arange(sets.classes), notes if sets.names or classes.names else []
    outputs = {name: index for index, name in enumerate(classes.names)}
    present = {sets.names[index] for index in torch.unique(sets.val.labels).tolist()}
    if unknown := present - outputs.keys():
        message = f"the model was not trained on the class{'es' * (len(unknown) > 1)} {listing(unknown)} of the images"
        raise fail("E129", message, help=f"its classes are {listing(classes.names)}; rename or remove the others")
    absent = outputs.keys() - {*sets.names}
    return np.array([outputs.get(name, -1) for name in sets.names]), lacked(absent, len(outputs))


def _moved(plan: Plan) -> list[str]:
    """Return the paths that a plan's dataset names and that are not on this machine."""
    values = plan.images.values.values() if plan.images else ()
    paths = [value for value in values if isinstance(value, str) and os.path.isabs(value)]
    return [path for path in paths if not os.path.lexists(path)]


def _recorded(folder: Path, plan: Plan, trained: Trained, note: str) -> Evaluation | None:
    """Return the evaluation that a finished run recorded of its held-out images, or None if it has none.

    Raises `RecipeError` (E120) if it is damaged.
    """
    summary = summary_of(folder)
    if not summary.get("evaluation_sha256"):
        return None
    found, notes = held_out.read_held_out(folder), [f"`{path}` is not on this machine" for path in _moved(plan)]
    if found.logits.shape[1] != trained.classes.count:
        raise fail(
            "E120", f"`{folder / held_out.EVALUATION}` is of another number of classes", help="train the run again"
        )
    told = f"the figures are of the outputs that the training recorded for them, computed in {summary['precision']}"
    notes[-1] += f", so the held-out images were not read: {told}"
    assert plan.images is not None
    return Evaluation(
        name=str(folder),
        data=plan.images.statement(),
        names=tuple(map(trained.name_of, range(trained.classes.count))),
        images=found.path or tuple(map(str, found.index.tolist())),
        indices=found.index,
        labels=found.label,
        logits=found.logits,
        notes=(*notes, *([note] if note else [])),
    )


def _run_of(plan: Plan) -> Plan | None:
    """Return the plan of the run whose weights a recipe loads, or None if they are others."""
    weights = plan.base.values.get(WEIGHTS)
    if not isinstance(weights, str) or not os.path.isabs(weights):
        return None
    try:
        run = open_lock(Path(weights) if os.path.isdir(weights) else Path(weights).parent).plan(plan.vocabulary)
    except (OSError, RecipeError):  # no run, or one that this machine can't open
        return None
    return run if run.images is not None else None


def _others(plan: Plan, new: Plan, made: Preprocessing | None, on: str) -> tuple[Sets, Seen]:
    """Return the images that another plan than that of a run names, and those that the run was trained on.

    If it leaves open what is held out, it is all images, unless the run was trained on some of them.
    """
    assert plan.images is not None
    assert new.images is not None
    other = plan.images.identity() != new.images.identity()
    sets = open_sets(new, training=False, evaluated=made, on=on, external=other)
    if not other or not isinstance(sets.val, Files) or _moved(plan):
        return sets, NONE_SEEN
    try:
        train = open_sets(plan, training=False).train
    except RecipeError:  # they are no longer as they were
        return sets, NONE_SEEN
    trained = frozenset(train.paths) if isinstance(train, Files) else NONE_SEEN
    if sets.external is not None and not trained.isdisjoint(sets.val.paths):
        sets = open_sets(new, training=False, evaluated=made, on=on)
    return sets, trained


def _own(plan: Plan, made: Preprocessing, on: str) -> Sets:
    """Return the images that a run states. Raises `RecipeError` (E070), with help if they are not on this machine."""
    try:
        return open_sets(plan, training=False, evaluated=made, on=on)
    except RecipeError as error:
        help = """name other images: `recipe evaluate RUN 'data folder "PATH"'`"""
        raise RecipeError(*(attrs.evolve(one, help=one.help or help) for one in error.diagnostics)) from error


def _changes(folder: Path, sets: Sets, on: str) -> list[str]:
    """Return whether a run's held-out images, or those of its test, are others than when it was trained."""
    made = read_provenance(folder)
    if made is None:
        return ["an earlier release made this run without recording its images: they may have changed"]
    before = made.data.test if on == "test" else made.data.held_out
    if before is None or fingerprint(sets.val) == before:
        return []
    return [f"the {'test' if on == 'test' else 'held-out'} images are not those that the run was evaluated on"]


def _uncropped(images: Images, crop: float | None) -> list[str]:
    if isinstance(images, Files) or crop is None:
        return []
    return [f"these images are used whole, while the run was evaluated on the center of images, {crop:.4g} of the side"]


def _evaluated(
    name: str,
    plan: Plan,
    sets: Sets,
    trained: Trained,
    outputs: Integers,
    notes: list[str],
    computing: Computing,
    seen: Seen,
) -> Evaluation:
    assert plan.images is not None
    assert plan.image_fields is not None
    images = labeled(sets.val, trained.preprocessing)
    with explained(plan):
        logits, indices, skipped = _logits(trained, images, plan.image_fields.skips, computing)
    if not len(logits):
        raise fail("E070", "no image can be read, so there is nothing to evaluate", plan.images.source)
    names = images.names if isinstance(images, Pictures) else tuple(map(str, range(len(images.labels))))
    if wrong := np.flatnonzero(~np.isfinite(logits).all(1)).tolist():
        message = f"the outputs of the model are not finite for {plural(len(wrong), 'image')}, such as"
        raise fail("E129", f"{message} `{names[indices[wrong[0]]]}`", help="train it again with a lower learning rate")
    chosen = [note for note in sets.notes if note.startswith(EVALUATED_ON)]
    return Evaluation(
        name=name,
        data=plan.images.statement(),
        names=tuple(map(trained.name_of, range(logits.shape[1]))),
        images=tuple(names[index] for index in indices.tolist()),
        indices=indices,
        labels=outputs[images.labels.numpy()[indices]],
        logits=logits,
        skipped=tuple(skipped),
        notes=(*chosen, *notes),
        data_notes=tuple(note for note in sets.notes if note not in chosen),
        source=images,
        seen=np.array([sets.val.paths[index] in seen for index in indices.tolist()])
        if seen and isinstance(sets.val, Files)
        else None,
    )


def _logits(
    trained: Trained, images: Images, skip: bool, computing: Computing
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], Integers, list[str]]:
    """Return the logits of all readable images, in order, their indices, and why the others are left out."""
    ranks, parts, indices, skipped = computing.ranks, list[torch.Tensor](), list[Integers](), list[tuple[int, str]]()

    def compute() -> None:
        with trained.evaluating():
            for part in trained.batches(images, computing.batch, computing.workers, skip, ranks.rank, ranks.world):
                skipped.extend(part.skipped)
                if part.counted:
                    parts.append(trained.logits(part.images))
                    indices.append(part.indices)

    ranks.run_on_all(compute)
    mine = (torch.cat(parts).numpy(), np.concatenate(indices)) if parts else None
    gathered = ranks.gather((mine, skipped))
    made = [each for each, _ in gathered if each is not None]
    why = [reason for _, reason in sorted(one for _, each in gathered for one in each)]
    if not made:
        return np.empty((0, 0), np.float32), np.empty(0, np.int64), why
    every = np.concatenate([index for _, index in made])
    order = every.argsort()
    return np.concatenate([logits for logits, _ in made])[order], every[order], why
