"""Teachers that are not trained here: runs, and pretrained models."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import attrs
import torch
from torch import fx

from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source
from recipe.base.wording import plural
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.devices.distributed import Ranks
from recipe.inference.kept import kept_weights, last_checkpoint, run_summary
from recipe.inference.pretrained import expected_inputs, without_dataset
from recipe.inference.pretrained_outputs import joined_by_name, known_outputs
from recipe.language.recipe_input import LOCK, read
from recipe.plan.bind import teacher_plan
from recipe.plan.plan import Plan
from recipe.plan.untrained import is_pretrained
from recipe.plugins.fingerprint import code_by_package
from recipe.plugins.kinds import RecipeFile
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.environment import changed_code, plugins_of
from recipe.runs.provenance import Classes, Preprocessing, read_provenance
from recipe.runs.reader import environment_of
from recipe.runs.recipe_lock import open_lock
from recipe.runs.records import FINISHED


@attrs.frozen
class NamedTeacher:
    """A teacher that a plan names."""

    use: Use
    """The trick that names it."""
    file: RecipeFile
    plan: Plan
    is_run: bool

    @property
    def name(self) -> str:
        """What to call it in messages: the name of its file or folder, or the model of a text."""
        return self.file.name if os.path.isabs(self.file.path) else self.plan.base.statement()

    @property
    def key(self) -> str:
        """What identifies it among the files that a run names: two teachers may have the same name."""
        return f"teacher {self.file.path}"

    @property
    def stem(self) -> str:
        """How the name of the folder begins in which it is trained."""
        return Path(self.file.path).stem if os.path.isabs(self.file.path) else "teacher"

    @property
    def is_trained(self) -> bool:
        """Whether it is trained if there is no finished run of it, and not used as it is."""
        return not self.is_run and not is_pretrained(self.plan)


def named_teacher(use: Use, file: RecipeFile, vocabulary: Vocabulary) -> NamedTeacher:
    """Read a teacher that a trick names. Raises `RecipeError`."""
    path = Path(file.path)
    if not os.path.isabs(file.path):
        return NamedTeacher(use, file, teacher_plan(Source("<teacher>", file.path, Path.cwd()), vocabulary), False)
    if os.path.isfile(path / LOCK):
        return NamedTeacher(use, file, open_lock(path).plan(vocabulary), True)
    return NamedTeacher(use, file, teacher_plan(read(path), vocabulary), False)


def compiled(teacher: NamedTeacher) -> Program:
    """Compile a teacher that is not trained, without its weights. Raises `RecipeError`."""
    if teacher.is_run:
        return lower(teacher.plan, classes=_recorded(teacher)[0].count, pretrained=False)
    return without_dataset(teacher.plan)[0].program


def size_of(teacher: NamedTeacher, program: Program) -> int | None:
    """Return the height and width of the inputs of a teacher that is not trained here, or None for the student's."""
    return None if teacher.is_trained else program.training.evaluation_size or program.costs.size


def inputs_of(teacher: NamedTeacher) -> Preprocessing:
    """Return how images become inputs of a teacher that is not trained here."""
    return _recorded(teacher)[1] if teacher.is_run else expected_inputs(teacher.plan)[0]


def order_of(teacher: NamedTeacher, names: tuple[str, ...], count: int) -> tuple[list[int] | None, list[str]]:
    """Return the outputs of a teacher for the student's classes, in order, or None if they are the same, and notes.

    The classes are joined by name if both are named. ``count`` is their number, which is the same for both. If both
    name as many of them, the others stay in order. Raises `RecipeError` (E072) if the names don't match.
    """
    if teacher.is_run:
        outputs: tuple[tuple[str, ...], ...] = tuple((name,) for name in _recorded(teacher)[0].names)
        notes = list[str]()
    else:
        known = known_outputs(teacher.plan)
        outputs, notes = (known.names, [known.note] if known.note else []) if len(known.names) == count else ((), [])
    if not outputs or not names:
        unnamed = "the student's images do" if outputs else "its weights do"
        return None, [
            *notes,
            f"its outputs are matched with the student's classes by order, since {unnamed} not name them",
        ]
    try:
        places = joined_by_name(names, outputs)
    except RecipeError as error:
        (one,) = error.diagnostics
        raise fail("E072", f"the teacher `{teacher.name}`: {one.message}", teacher.use.span, help=one.help) from None
    if unknown := [name for name in names if places[name] is None]:
        message = f"the teacher `{teacher.name}` has no output for the class `{unknown[0]}` of the student"
        more = f", nor for {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise fail("E072", message + more, teacher.use.span, help="use a teacher that was trained on the same classes")
    if len(names) < count and len(outputs) != len(names):
        message = (
            f"the teacher `{teacher.name}` names {plural(len(outputs), 'output')}, "
            f"but the student has names for only {len(names)} of {plural(count, 'output')}"
        )
        raise fail("E072", message, teacher.use.span, help="use a teacher that was trained on the same classes")
    order = [place for name in names if (place := places[name]) is not None]
    order += range(len(names), count)  # named by neither
    return (None if order == [*range(count)] else order), notes


def filled(teacher: NamedTeacher, program: Program, ranks: Ranks) -> tuple[fx.GraphModule, str]:
    """Return the model of a teacher that is not trained here, with its weights, and a sentence on which these are.

    The weights of a run are read in the first process only. Raises `RecipeError` if they can't be used.
    """
    if not teacher.is_run:
        return program.model, "using its pretrained weights as they are, without training it"
    state, told = ranks.broadcast(lambda: _weights_of_run(teacher))
    try:
        program.model.load_state_dict(state)
    except RuntimeError:
        message = f"the weights of the teacher `{teacher.name}` don't fit the model of its recipe"
        raise fail("E120", message, teacher.use.span, help="train it again") from None
    return program.model, told


def _weights_of_run(teacher: NamedTeacher) -> tuple[dict[str, torch.Tensor], str]:
    folder, plan = Path(teacher.file.path), teacher.plan
    made = environment_of(folder)
    changed = changed_code(made.plugins if made else (), plugins_of(code_by_package(plan.uses)))
    note = f"; it may be another model than was trained: {', '.join(changed)}" if changed else ""
    if summary := run_summary(folder):
        status = str(summary["status"])
        ended = f"{status} after step {summary['steps']}" if status != FINISHED else status
        return kept_weights(folder), f"using the run {folder} as it is ({ended}){note}"
    stopped, damaged = last_checkpoint(folder)
    lost = f", since {plural(len(damaged), 'later one')} can't be read" if damaged else ""
    which = f"stopped: its checkpoint of step {stopped.step} is used{lost}"
    return stopped.average or stopped.model, f"using the run {folder} as it is ({which}){note}"


def weights_digest(model: fx.GraphModule) -> str:
    """Return a digest of the values of a model's tensors."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {(*tensor.shape,)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def _recorded(teacher: NamedTeacher) -> tuple[Classes, Preprocessing]:
    made = read_provenance(Path(teacher.file.path))
    if made is None:
        message = f"the teacher `{teacher.name}` is a run of an earlier release, which didn't record its classes"
        raise fail("E072", message, teacher.use.span, help="name its recipe instead")
    return made.classes, made.preprocessing
