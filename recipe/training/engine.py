"""From a recipe to a finished run: prepare, decide what is left to do, and train."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import torch

from recipe.base.caller import another_folder, option
from recipe.base.errors import RecipeError, fail
from recipe.base.signals import Interrupted, Signals
from recipe.base.typed_json import Malformed
from recipe.base.wording import first_line, plural
from recipe.compiler.program import Program
from recipe.data.images import Sets
from recipe.devices.choice import is_out_of_memory, may_be_out_of_memory, pick, repeatable
from recipe.devices.distributed import Ranks, peer_failure
from recipe.inference.run import Run
from recipe.language.recipe_input import LOCK
from recipe.plan.plan import Plan
from recipe.plugins.contexts import Teach
from recipe.plugins.fingerprint import code_by_package
from recipe.runs import checkpoints
from recipe.runs.beginning import begin, begin_folder, changes_since, clean_metrics, clean_results
from recipe.runs.earlier import note_on_earlier
from recipe.runs.environment import changed_code, plugins_of
from recipe.runs.exclusive import hold
from recipe.runs.layout import choose_folder, is_finished, is_untouched
from recipe.runs.provenance import Provenance, compared, with_lost_files
from recipe.runs.reader import environment_of, summary_of
from recipe.runs.recipe_lock import check_lock
from recipe.runs.records import FINISHED
from recipe.runs.requests import drop_stale, withdraw
from recipe.runs.weights import packed_weights, unpacked
from recipe.training.alike import check_alike
from recipe.training.broken_images import look_for_broken
from recipe.training.early_end import EarlyEnd, unfinished_teacher
from recipe.training.estimate import estimated
from recipe.training.given_teachers import NamedTeacher
from recipe.training.loop import Loop
from recipe.training.objective import objective
from recipe.training.reporting import Listener, heading
from recipe.training.request import Done, Fresh, Place, Prepared, Request, Resume
from recipe.training.resuming import check_owner, check_restart, resume_options
from recipe.training.setup import environment, named_places, prepare, provenance_of
from recipe.training.teachers import find_teachers, teachers_of, try_teachers
from recipe.training.trainer import Trainer


def train(request: Request) -> Run:
    """Prepare a run, decide what is left to do, and do it."""
    device = pick(request.device)
    ranks = Ranks.join(device)
    listener = request.listener if ranks.is_main else Listener()
    request = attrs.evolve(request, listener=listener)
    with contextlib.ExitStack() as held, Signals(listener.note, listener.stop) as signals, told_plainly(device):
        place = _place(request, device, ranks)
        signals.folder, signals.written = place.folder, place.resumes
        if place.resumes:
            ranks.broadcast(lambda: _hold(request, place.folder, held))
        decision = _decide(request, place)
        _tell_earlier(request, place)
        prepared = _prepare(request, place, ranks.world, weights=True)
        signals.written |= bool(prepared.teachers)
        place = _suited(place, prepared.program, request.strict)
        teach: Teach = {}
        if not isinstance(decision, Done):
            prepared = _looked_at(request, place, prepared)
            teach, prepared = _teach(request, place, prepared)
        trainer = Trainer.make(prepared.program, prepared.sets, device, place.precision, teach, ranks, request.runtime)
        options = partial(
            resume_options,
            request.plan.uses,
            request.policy,
            device=request.device,
            strict=request.strict,
            processes=ranks.local_world_size,
            trackers=request.trackers,
            test=request.test,
        )
        early_end = EarlyEnd(listener, request.limit, request.students)
        loop = Loop(trainer, prepared, place.folder, listener, signals, request.policy, early_end, options)
        if isinstance(decision, Done):
            ranks.broadcast(lambda: _check_code(request, place))
            if _take_up_finished(loop, request, place, prepared):
                listener.note(f"{place.folder} has already finished: nothing to do")
                return _run(place.folder, decision.summary, trainer, prepared)
            teach, prepared = _teach(request, place, prepared)
            trainer.loss_of = objective(request.plan, teach, trainer.reads, trainer.weights)
        elif isinstance(decision, Resume):
            loop.restore(request.allow_changed, prepared.data_changes)
            _check_resumed(place, prepared.lost, loop.resumed)
        return _train(request, place, prepared, loop, held)


def _place(request: Request, device: torch.device, ranks: Ranks) -> Place:
    """Choose where to train, without writing anything."""
    plan = request.plan
    check_lock(plan)
    precision = request.runtime.precision(plan.training.precision, device, request.strict)
    folder = ranks.broadcast(
        lambda: choose_folder(request.out, request.name, plan, request.resume, request.allow_changed)
    )
    resumes = request.resume and ranks.broadcast(folder.exists)
    return Place(device, precision, ranks, folder, resumes)


def _tell_earlier(request: Request, place: Place) -> None:
    """Report an earlier run of this recipe, since the folder of this one has been chosen by default."""
    own_model = request.compiled is not None and request.compiled.module is not None  # no recipe describes it
    new = request.out is None and not place.resumes and not own_model
    if new and place.ranks.is_main and (note := note_on_earlier(place.folder.parent, request.plan)):
        request.listener.note(note)


def _suited(place: Place, program: Program, strict: bool) -> Place:
    return attrs.evolve(place, precision=place.precision.suited(program.narrow, strict))


def _decide(request: Request, place: Place) -> Fresh | Resume | Done:
    """Decide from a folder's contents what is left to do."""
    if not place.resumes:
        return Fresh()
    if place.ranks.broadcast(lambda: is_finished(place.folder, request.plan)):
        return Done(place.ranks.broadcast(lambda: summary_of(place.folder)))
    return Resume()


def _prepare(request: Request, place: Place, processes: int, *, weights: bool) -> Prepared:
    """Open the images, and compile the program and its teachers.

    ``weights`` creates the initial weights too. Otherwise, they are only tried.

    Raises `RecipeError` (E113) if the images are not those of the run to resume.
    """

    def opened() -> tuple[Sets, Program, list[tuple[NamedTeacher, Program]], str, RecipeError | None]:
        sets, program, note, lost = _compiled(request, place, processes, weights)
        return sets, program, teachers_of(request.plan, program.classes, sets.names), note, lost

    sets, program, teachers, note, lost = place.ranks.run_on_all(opened)
    check_alike(place.ranks, sets, request.plan.images.source if request.plan.images else None)
    identity = program.identity
    provenance, changes = place.ranks.broadcast(lambda: _identified(request, place, sets, identity))
    sets = sets if request.test else attrs.evolve(sets, test=None)
    return Prepared(sets, program, teachers, provenance, changes, lost, note)


def _compiled(
    request: Request, place: Place, processes: int, weights: bool
) -> tuple[Sets, Program, str, RecipeError | None]:
    """Return the images, the program, and a note on its initial weights.

    A run that resumes has its weights in a checkpoint. If the initial ones can't be loaded, they are left out, and the
    error is returned too.
    """
    try:
        sets, program = prepare(request.plan, request.compiled, processes)
        if not weights:
            return sets, program, program.try_weights(), None
        program.model  # noqa: B018 - built on first access
    except RecipeError as error:
        (problem, *_) = error.diagnostics
        if not place.resumes or request.compiled is not None or problem.code not in ("E001", "E120"):
            raise
        sets, program = prepare(request.plan, None, processes, pretrained=False)
        return sets, program, f"the initial weights are not needed to resume: {problem.message}", error
    return sets, program, "", None


def _check_resumed(place: Place, lost: RecipeError | None, resumed: bool) -> None:
    """Raise ``lost`` if the initial weights are needed, since no checkpoint could be read."""

    def check() -> None:
        if lost is not None and not resumed:
            raise lost

    place.ranks.run_on_all(check)


def _looked_at(request: Request, place: Place, prepared: Prepared) -> Prepared:
    """Add notes on broken images, or raise `RecipeError` (E070) if the recipe doesn't skip them."""
    look = place.ranks.broadcast(lambda: look_for_broken(request.plan, prepared.sets))
    sets = attrs.evolve(prepared.sets, notes=(*prepared.sets.notes, *look.notes))
    return attrs.evolve(prepared, sets=sets, named=look.named)


def _identified(request: Request, place: Place, sets: Sets, identity: str) -> tuple[Provenance, list[str]]:
    """Return the provenance of the run, and what has changed in the data of the run to resume."""
    provenance = provenance_of(request.plan, sets, identity)
    if not place.resumes or is_untouched(place.folder):  # a start that was killed may have left some of its files
        return provenance, []
    provenance = with_lost_files(place.folder, provenance)
    return provenance, compared(place.folder, provenance, request.allow_changed, named_places(request.plan))


def _teach(request: Request, place: Place, prepared: Prepared) -> tuple[Teach, Prepared]:
    """Return the teachers' functions, and the provenance with their weights.

    A teacher without a finished run is trained first, or resumed if started.
    """

    def train_teacher(teacher: Plan, folder: Path) -> None:
        students = (*request.students, place.folder) if place.resumes else request.students
        asked = attrs.evolve(
            request, plan=teacher, compiled=None, out=folder, resume=True, allow_changed=False, students=students
        )
        try:
            summary = train(asked).summary
        except Interrupted as stopped:  # resuming the student resumes its teacher
            raise Interrupted(stopped.number, place.folder, 0) from None
        if summary["status"] != FINISHED:
            raise unfinished_teacher(folder, summary["steps"])

    teach, weights = find_teachers(
        request.plan,
        prepared.provenance,
        prepared.teachers,
        place.folder.parent,
        place.device,
        train_teacher,
        request.listener,
        place.ranks,
    )
    return teach, _with_teachers(request, place, prepared, weights)


def _with_teachers(request: Request, place: Place, prepared: Prepared, weights: dict[str, str]) -> Prepared:
    """Return the provenance with the weights of teachers. ``weights`` are their digests, by name.

    Raises `RecipeError` (E113) if they are not those of the run to resume.
    """
    own, changes = prepared.provenance, prepared.data_changes
    own = attrs.evolve(own, data=attrs.evolve(own.data, files={**own.data.files, **weights}))
    if weights and place.resumes and not is_untouched(place.folder):
        places = named_places(request.plan) | {named.key: named.use.span for named, _ in prepared.teachers}
        changes = place.ranks.broadcast(lambda: compared(place.folder, own, request.allow_changed, places))
    return attrs.evolve(prepared, provenance=own, data_changes=changes)


def _check_code(request: Request, place: Place) -> None:
    """Raise `RecipeError` (E113) if the code of a finished run's plugins has changed, unless that is allowed."""
    made = environment_of(place.folder)
    changed = changed_code(made.plugins if made else (), plugins_of(code_by_package(request.plan.uses)))
    if changed and not request.allow_changed:
        message = f"this differs from the run in `{place.folder}`: {', '.join(changed)}"
        help = f"resume anyway with {option('--allow-changed')}, or {another_folder()}"
        raise fail("E113", message, help=help)


def _take_up_finished(loop: Loop, request: Request, place: Place, prepared: Prepared) -> bool:
    """Restore a run that its summary reports as finished. Return whether nothing is left to train."""
    if prepared.program.module is None and _take_weights(loop.trainer, loop.folder):
        return True
    loop.restore(request.allow_changed, prepared.data_changes)
    _check_resumed(place, prepared.lost, loop.resumed)
    if loop.keeping.over:
        loop.keeping.take(loop.folder)
    return loop.keeping.over


def _take_weights(trainer: Trainer, folder: Path) -> bool:
    """Load the weights of a finished run. Return whether they are sound and fit."""
    try:
        weights = unpacked(packed_weights(folder))
    except (OSError, Malformed):  # take them from the last checkpoint
        return False
    shapes, own = (
        {name: tensor.shape for name, tensor in state.items()} for state in (weights, trainer.eval_model.state_dict())
    )
    if shapes != own:  # checked before copying: a training that restarts must start from its initial weights
        return False
    trainer.eval_model.load_state_dict(weights)
    return True


def _train(request: Request, place: Place, prepared: Prepared, loop: Loop, held: contextlib.ExitStack) -> Run:
    """Write the files that a run folder has from the start, and train to the end."""
    listener, step = request.listener, loop.trainer.step
    now = environment(place.device, place.precision, request.plan)
    notes = place.ranks.broadcast(lambda: changes_since(place.folder, now, prepared.data_changes, step))
    for note in notes:
        listener.note(note)
    loop.notes += [note for note in notes if note not in loop.notes]
    if loop.resumed and (notes or loop.recipe_changed):  # before the files that show the changes are replaced
        loop.save()
    folder = loop.folder = loop.signals.folder = place.ranks.broadcast(lambda: _claim(request, place, held))
    loop.signals.written = True
    if place.resumes:  # without a checkpoint, weights are left: nothing else has them
        place.ranks.broadcast(lambda: clean_results(folder, loop.resumed and loop.keeping.best is None))
    place.ranks.broadcast(lambda: begin(folder, request.plan, now, prepared.provenance, prepared.data_changes, step))
    epoch = loop.trainer.progress().epoch
    place.ranks.broadcast(lambda: clean_metrics(folder, epoch, loop.epoch_evaluated))
    warnings = (f"warning: {warning.message}" for warning in prepared.program.warnings)
    for note in (prepared.note, *warnings, *loop.trainer.sets.notes, place.precision.note):
        if note:
            listener.note(note)
    try:
        with repeatable(place.device):
            summary = loop.run()
    finally:
        listener.stop()
    return _run(loop.folder, summary, loop.trainer, prepared)


def _run(folder: Path, summary: dict[str, Any], trainer: Trainer, prepared: Prepared) -> Run:
    made = prepared.provenance
    return Run(folder, summary, trainer.released(), prepared.program, made.classes, made.preprocessing)


def _claim(request: Request, place: Place, held: contextlib.ExitStack) -> Path:
    """Create the run folder if needed, and lock it. Return the folder."""
    begun = begin_folder(place.folder, named=request.out is not None or place.resumes)
    if not place.resumes:
        _hold(request, begun, held)
        if (begun / LOCK).exists() and not is_untouched(begun):
            raise fail("E116", f"another run has just started in `{begun}`", help="try again")
    return begun


def _hold(request: Request, folder: Path, held: contextlib.ExitStack) -> None:
    """Lock a run folder, and accept requests to end the training there early."""
    held.callback(withdraw, folder)  # after the lock is released
    held.enter_context(hold(folder))
    drop_stale(folder, request.listener.note)


@contextlib.contextmanager
def told_plainly(device: torch.device) -> Iterator[None]:
    """Report out-of-memory errors as E115, and the loss of another process as E117."""
    try:
        yield
    except RuntimeError as error:
        help = (
            "compute each batch in parts that fit with `batch N micro auto`, "
            "or use about half the memory with `precision fp16`"
        )
        if is_out_of_memory(error):
            raise fail("E115", f"`{device}` has too little memory for this run", help=help) from error
        if may_be_out_of_memory(error):
            message = f"`{device}` failed, possibly because its memory is full: {first_line(error)}"
            raise fail("E115", message, help=help) from error
        if gone := peer_failure(error):
            raise gone from error
        raise


def dry(request: Request, processes: int = 1) -> None:
    """Do everything before training that can fail: device, folder, data, compilation, teachers. Report the result.

    Also reports how long the training would take, as measured by a few steps.
    """
    device, training = pick(request.device), request.plan.training
    with told_plainly(device):
        place = _place(request, device, Ranks())
        _tell_earlier(request, place)
        prepared = _prepare(request, place, processes, weights=False)
        place = _suited(place, prepared.program, request.strict)
        weights = try_teachers(
            request.plan, prepared.provenance, prepared.teachers, place.folder.parent, request.listener
        )
        if not isinstance(_decide(request, place), Done):
            prepared = _looked_at(request, place, prepared)
            prepared = _with_teachers(request, place, prepared, weights)
        resumed, step = _resumed(request, place, prepared)
    warnings = [f"warning: {warning.message}" for warning in prepared.program.warnings]
    for line in (*heading(prepared.program), prepared.note, *warnings, *prepared.sets.notes, place.precision.note):
        if line:
            request.listener.note(line)
    if step is not None:
        with told_plainly(device):
            request.listener.note(_estimated(request, place, prepared, processes, step))
    sets = prepared.sets
    images, test = len(sets.train.labels), "" if sets.test is None else f", {len(sets.test.labels)} for a test"
    request.listener.note(
        f"{plural(images, 'training image')}, {len(sets.val.labels)} held out{test}; "
        f"{plural(training.epochs, 'epoch')} of "
        f"{plural(training.steps(images), 'step')} on "
        f"{device}{f', in {processes} processes' if processes > 1 else ''}; {resumed}nothing was trained"
    )


def _estimated(request: Request, place: Place, prepared: Prepared, processes: int, step: int) -> str:
    if processes > 1:
        return f"no estimated time: it is measured in one process, not in {processes}"
    limit = request.limit.seconds if request.limit else None
    near = place.folder.parent
    return estimated(prepared.program, prepared.sets, prepared.teachers, place.device, near, step, limit)


def _resumed(request: Request, place: Place, prepared: Prepared) -> tuple[str, int | None]:
    """Return what a run would do with what is left in its folder, and at which step; None if it is finished.

    Raises the errors that the run would raise.
    """
    decision = _decide(request, place)
    if isinstance(decision, Fresh):
        return "", 0
    if isinstance(decision, Done):
        _check_code(request, place)
        return f"{place.folder} has already finished; ", None
    packed, unsound = checkpoints.read(place.folder / "checkpoints", set_aside=False)
    if packed is None:
        check_restart(place.folder, request.plan, prepared.data_changes)
        _check_resumed(place, prepared.lost, resumed=False)
        return f"{place.folder} would restart from scratch; ", 0
    state = checkpoints.unpack(packed, torch.device("cpu"))
    check_owner(state, prepared.program.identity, request.plan.uses, place.folder, request.allow_changed)
    damaged = f", since {plural(len(unsound), 'newer checkpoint')} can't be read" if unsound else ""
    return f"{place.folder} would resume at step {state.step}{damaged}; ", state.step
