"""Find the teachers of a plan among finished runs, or train them first."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, fx

from recipe.base.errors import RecipeError, fail
from recipe.base.typed_json import Malformed
from recipe.base.wording import listing, plural, reason_of
from recipe.compiler.lower import lower, smallest
from recipe.compiler.program import Program
from recipe.devices.distributed import Ranks
from recipe.devices.precision import Precision, precision
from recipe.graph.features import with_features
from recipe.graph.shapes import propagate
from recipe.inference.datasets import open_sets
from recipe.inference.layout import memory_format
from recipe.inference.pretrained import expected_inputs
from recipe.plan.bind import bad_teacher
from recipe.plan.plan import Plan
from recipe.plugins.contexts import Teach, Teacher
from recipe.plugins.fingerprint import code_by_package
from recipe.plugins.kinds import RecipeFile
from recipe.plugins.uses import Use
from recipe.runs.environment import changed_code, plugins_of
from recipe.runs.layout import default_folder, finished_run
from recipe.runs.provenance import Preprocessing, Provenance, changed_classes, differences, read_provenance
from recipe.runs.reader import environment_of, summary_of
from recipe.runs.weights import packed_weights, unpacked
from recipe.training.given_teachers import (
    NamedTeacher,
    compiled,
    filled,
    inputs_of,
    named_teacher,
    order_of,
    weights_digest,
)
from recipe.training.reporting import Listener
from recipe.training.setup import named_files, provenance_of


def find_teachers(
    plan: Plan,
    own: Provenance,
    teachers: Iterable[tuple[NamedTeacher, Program]],
    near: Path,
    device: torch.device,
    train: Callable[[Plan, Path], object],
    listener: Listener,
    ranks: Ranks,
) -> tuple[Teach, dict[str, str]]:
    """Map the digest of each teacher of a plan to the teacher, a function from inputs (N, 3, H, W) to logits (N, K).

    ``teachers`` is the result of `teachers_of`, and ``own`` the provenance of the student. Uses a finished run in the
    folder ``near``. If there is none, calls ``train`` to create one. The logits are in the order of the student's
    classes: the classes of both are joined by name. Also returns a digest of each teacher's weights, by name. Raises
    `RecipeError` (E072) if a teacher was trained on other classes, or on data or by code that have changed since.
    """
    names, weights = own.classes.names, dict[str, str]()
    teach: dict[str, Teacher] = {}
    for named, program in teachers:
        if not named.is_trained:
            model, told = filled(named, program, ranks)
            order, notes = order_of(named, names, program.classes)
            found = _given(named, program, own.preprocessing, device, order)
            told = "; ".join([told, *notes, *_about_inputs(named, found, own.preprocessing)])
            listener.note(f"teacher {named.name}: {told}")
            teach[named.file.digest] = found
            weights[named.key] = ranks.broadcast(partial(weights_digest, model))
            continue
        teacher = program.plan
        folder = ranks.broadcast(partial(_finished, teacher, near, plan, own))
        if folder is None:
            listener.note(f"teacher {named.name}: no finished run in {near}, training it first")
            folder = ranks.broadcast(partial(default_folder, near, named.stem, teacher, resume=True))
            train(teacher, folder)
        else:
            listener.note(f"teacher {named.name}: using the finished run {folder}")
        seen, images = teacher.images, plan.images
        if seen and images and seen.statement() != images.statement():
            listener.note(
                f"teacher {named.name} was trained on `{seen.statement()}`, but sees the student's images here"
            )
        provenance = ranks.broadcast(partial(read_provenance, folder))
        order = _order(names, provenance.classes.names, named, program.classes) if provenance else None
        rescaled = _rescaled(plan, own.preprocessing, teacher, provenance.preprocessing if provenance else None)
        teach[teacher.digest] = attrs.evolve(_teacher(program, folder, device, ranks, order), rescaled=rescaled)
        weights[named.key] = ranks.broadcast(partial(_kept_digest, folder))
    return teach, weights


def try_teachers(
    plan: Plan, own: Provenance, teachers: Iterable[tuple[NamedTeacher, Program]], near: Path, listener: Listener
) -> dict[str, str]:
    """Load the weights of the teachers that need no training, as a dry run does. Return a digest of each, by name.

    The arguments are those of `find_teachers`. Weights that have to be downloaded have no digest yet. Raises
    `RecipeError` if they can't be used, or if a finished run of a teacher can't.
    """
    weights = dict[str, str]()
    for named, program in teachers:
        if named.is_trained:
            folder = _finished(program.plan, near, plan, own)
            if folder is not None:
                weights[named.key] = _kept_digest(folder)
            continue
        told = "" if named.is_run else program.try_weights()
        if not told:
            model, told = filled(named, program, Ranks())
            weights[named.key] = weights_digest(model)
        listener.note(f"teacher {named.name}: {told}")
    return weights


def _kept_digest(folder: Path) -> str:
    return str(summary_of(folder).get("weights_sha256"))[:16]


def _finished(teacher: Plan, near: Path, student: Plan, own: Provenance) -> Path | None:
    """Return the folder of the finished run of a teacher, or None if there is none.

    Raises `RecipeError` (E072) if it was trained on data or by code that have changed since.
    """
    folder = finished_run(near, teacher)
    if folder is not None and (changes := _changes(teacher, folder, student, own)):
        message = f"the teacher in `{folder}` was trained on other data or by other code: {'; '.join(changes)}"
        raise fail("E072", message, help=f"remove the folder {folder} to train the teacher again")
    return folder


def _changes(teacher: Plan, folder: Path, student: Plan, own: Provenance) -> list[str]:
    """Return what has changed in the data and the plugins of a teacher since its run in a folder, a clause each.

    Images that are no longer on this machine aren't compared.
    """
    made, environment = read_provenance(folder), environment_of(folder)
    code = changed_code(environment.plugins if environment else (), plugins_of(code_by_package(teacher.uses)))
    if made is None:
        return code
    if teacher.images and student.images and _identity(teacher.images) == _identity(student.images):
        now = attrs.evolve(own, data=attrs.evolve(own.data, files=named_files(teacher)))
    else:
        try:
            now = provenance_of(teacher, open_sets(teacher), teacher.digest)
        except RecipeError:
            return code
    classes = changed_classes(made.classes, now.classes)
    return [*([classes] if classes else []), *differences(made.data, now.data), *code]


def _identity(images: Use) -> tuple[str, dict[str, object]]:
    return images.word, images.identity()


def _rescaled(
    plan: Plan, own: Preprocessing, teacher: Plan, its: Preprocessing | None
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the factor and the offset that make a teacher's inputs of the student's, or None if they are the same.

    Only what a recipe states is taken into account: without it, each has the mean and deviation of the same images.
    """
    stated = any(part is not None for one in (plan, teacher) for part in (one.training.mean, one.training.std))
    if its is None or not stated or (own.mean, own.std) == (its.mean, its.std):
        return None
    return _factors(own, its)


def _factors(own: Preprocessing, its: Preprocessing) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = [*zip(own.mean, own.std, its.mean, its.std, strict=True)]
    factors = tuple(std / other for _, std, _, other in channels)
    return factors, tuple((mean - its_mean) / its_std for mean, _, its_mean, its_std in channels)


def _given(
    named: NamedTeacher, program: Program, own: Preprocessing, device: torch.device, order: list[int] | None
) -> Teaching:
    """Return a teacher that is not trained here, which sees the student's images in its own size and normalization."""
    its = inputs_of(named)
    rescaled = None if (own.mean, own.std) == (its.mean, its.std) else _factors(own, its)
    return attrs.evolve(teaching(program, device, order, its.size), rescaled=rescaled)


def _about_inputs(named: NamedTeacher, found: Teaching, own: Preprocessing) -> Iterator[str]:
    """Yield clauses on how the inputs of a teacher that is not trained here differ from the student's."""
    if found.size != own.size:
        yield f"it sees images of {found.size} pixels, resized from the student's"
    if found.rescaled is not None:
        yield "it sees them with its own mean and deviation"
    if not named.is_run:
        yield from expected_inputs(named.plan)[1]


def _order(names: tuple[str, ...], taught: tuple[str, ...], named: NamedTeacher, count: int) -> list[int] | None:
    """Return the position of each of the student's outputs in the teacher's, or None if they are the same.

    ``count`` is the number of outputs. Those without a name stay in order.
    """
    if not names or not taught or names == taught:
        return None
    if {*names} != {*taught}:
        other = f"{listing({*taught} - {*names}, 3)} instead of {listing({*names} - {*taught}, 3)}"
        help = "train the teacher on the same classes"
        raise fail(
            "E072", f"the teacher `{named.name}` was trained on other classes: {other}", named.use.span, help=help
        )
    return [*(taught.index(name) for name in names), *range(len(names), count)]


def teachers_of(plan: Plan, classes: int, names: tuple[str, ...] = ()) -> list[tuple[NamedTeacher, Program]]:
    """Return each teacher that a plan names, with its program.

    ``names`` are the student's classes, if they are known. Raises `RecipeError` (E072) if a teacher has another number
    of classes than the student, or one that is not trained here has other classes.
    """
    programs = []
    for named in named_teachers(plan):
        use, teacher = named.use, named.plan
        with _told(plan, use, named.file, named.name):
            program = lower(teacher) if named.is_trained else compiled(named)
        if program.classes != classes:
            count = plural(program.classes, "class")
            message = f"the teacher `{named.name}` has {count}, but the student has {classes}"
            help = "train the teacher on the classes of the student, and name its run or recipe"
            raise fail("E072", message, use.span, help=help)
        theirs, ours = program.training.channels, plan.training.channels
        if theirs != ours:
            message = (
                f"the teacher `{named.name}` takes images of {plural(theirs, 'channel')}, but the student of {ours}"
            )
            raise fail("E072", message, use.span, help=f"let both take the same: state `input channels={theirs}`")
        programs.append((named, program))
        if not named.is_trained:  # it sees images of its own size
            order_of(named, names, classes)
            continue
        assert plan.image_fields is not None
        size = plan.image_fields.size
        try:
            for side in {smallest(plan, size), size}:
                propagate(program.structure, side, named.name)
        except RecipeError as error:  # report it now, not after hours of training
            raise RecipeError(*(attrs.evolve(d, span=use.span) for d in error.diagnostics)) from None
    return programs


def named_teachers(plan: Plan) -> list[NamedTeacher]:
    """Return the teachers that a plan names."""
    teachers = []
    for use in plan.uses:
        for value in use.values.values():
            if isinstance(value, RecipeFile):
                with _told(plan, use, value, value.name):
                    teachers.append(named_teacher(use, value, plan.vocabulary))
    return teachers


@contextlib.contextmanager
def _told(plan: Plan, use: Use, file: RecipeFile, name: str) -> Iterator[None]:
    """Report a teacher's errors as errors in a file that a recipe names."""
    try:
        yield
    except RecipeError as error:
        path = Path(file.path) if os.path.isabs(file.path) else plan.sources[0].folder  # a text is the recipe's own
        raise bad_teacher(name, path, use.span, error.diagnostics, plan.sources) from None


def _teacher(program: Program, folder: Path, device: torch.device, ranks: Ranks, order: list[int] | None) -> Teaching:
    def packed() -> bytes:
        try:
            return packed_weights(folder)
        except (OSError, Malformed) as error:
            raise _unusable(folder, error) from error

    try:
        program.model.load_state_dict(unpacked(ranks.broadcast(packed)))
    except (Malformed, RuntimeError) as error:
        raise _unusable(folder, error) from error
    return teaching(program, device, order)


def _unusable(folder: Path, error: Exception) -> RecipeError:
    help = f"remove the folder {folder} to train the teacher again"
    return fail("E001", f"the teacher's weights in `{folder}` can't be used: {reason_of(error)}", help=help)


@attrs.frozen(eq=False)
class Teaching:
    """A teacher with its current weights, in evaluation mode."""

    model: fx.GraphModule
    precision: Precision
    order: list[int] | None
    """The outputs to return, in this order, or None for all."""
    reading: dict[str, fx.GraphModule] = attrs.field(factory=dict)
    """The model that also returns the output of a layer, by its address."""
    rescaled: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """The factor and the offset, by channel, that make its inputs of the student's, if these differ."""

    size: int | None = None
    """The height and width to which its inputs are resized, or None for those of the student."""

    def _seen(self, inputs: Tensor) -> Tensor:
        if self.size is not None and inputs.shape[-1] != self.size:
            sides = (self.size, self.size)
            inputs = F.interpolate(inputs, sides, mode="bilinear", antialias=True)
        if self.rescaled is None:
            return inputs
        factor, offset = (inputs.new_tensor(values).view(1, -1, 1, 1) for values in self.rescaled)
        return inputs * factor + offset

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the logits (N, K) for inputs (N, 3, H, W)."""
        with self.precision.autocast():
            logits: Tensor = self.model(self._seen(inputs)).float()
        return logits if self.order is None else logits[:, self.order]

    @torch.no_grad()
    def features(self, inputs: Tensor, address: str) -> Tensor:
        """Return the output of a layer for inputs (N, 3, H, W). Raises `KeyError` if it can't be read."""
        if address not in self.reading:
            self.reading[address] = with_features(self.model, [address])
        with self.precision.autocast():
            features: Tensor = self.reading[address](self._seen(inputs))[1][address].float()
        return features


def teaching(
    program: Program, device: torch.device, order: list[int] | None = None, size: int | None = None
) -> Teaching:
    """Return the teacher that a program is, with the current weights of its model.

    ``order`` are the outputs to return, in this order, or None for all. ``size`` is the height and width to which its
    inputs are resized, or None for those of the student.
    """
    training = program.plan.training
    model = program.model.to(device=device, memory_format=memory_format(training)).eval()  # type: ignore[call-overload]
    return Teaching(model, precision(training.precision, device), order, size=size)
