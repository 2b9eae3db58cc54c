"""The teachers of a plan: found among finished runs, or trained first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import torch
from torch import Tensor

from recipe.bind import bind
from recipe.compiler import Program, lower, smallest
from recipe.devices import precision
from recipe.diagnostics import RecipeError, fail
from recipe.fields import RecipeFile
from recipe.folder import finished_run
from recipe.graph.shapes import propagate
from recipe.objective import Teach
from recipe.plan import Plan
from recipe.ranks import Ranks
from recipe.registry import Vocabulary
from recipe.report import Listener
from recipe.syntax import read


def find_teachers(
    plan: Plan,
    classes: int,
    near: Path,
    device: torch.device,
    vocabulary: Vocabulary,
    train: Callable[[Plan, Path], object],
    listener: Listener,
    ranks: Ranks,
) -> Teach:
    """For the digest of each teacher of a plan, the function from inputs (N, 3, H, W) to its logits (N, K).

    A finished run in the folder ``near`` is used; where there is none, ``train`` makes one. A teacher that tells
    another number of classes apart is refused (E072).
    """
    teach: dict[str, Callable[[Tensor], Tensor]] = {}
    for path, program in teachers_of(plan, classes, vocabulary):
        teacher = program.plan
        folder = ranks.decide(partial(finished_run, near, teacher.digest))
        if folder is None:
            listener.note(f"teacher {path.name}: no finished run in {near}, so it is trained first")
            folder = near / f"{path.stem}-{teacher.digest[:8]}"
            train(teacher, folder)
        else:
            listener.note(f"teacher {path.name}: using the finished run {folder}")
        seen, own = teacher.use("data"), plan.use("data")
        if seen and own and seen.statement() != own.statement():
            listener.note(f"teacher {path.name} learnt from `{seen.statement()}`, and sees the student's images here")
        teach[teacher.digest] = _teacher(program, folder, device, ranks)
    return teach


def teachers_of(plan: Plan, classes: int, vocabulary: Vocabulary) -> list[tuple[Path, Program]]:
    """The path and the program of each teacher that a plan names; each tells as many classes apart as the student."""
    found = []
    for use in plan.uses:
        for value in use.values.values():
            if isinstance(value, RecipeFile):
                path = Path(value.path)
                program = lower(bind([read(path)], vocabulary, data=True))
                if program.classes != classes:
                    message = f"the teacher `{path.name}` tells {program.classes} classes apart, the student {classes}"
                    raise fail("E072", message, use.span)
                size = _image_size(plan)
                try:
                    for side in {smallest(plan, size), size}:
                        propagate(program.structure, side, path.name)
                except RecipeError as error:  # told now, not after hours of training
                    raise RecipeError(*(attrs.evolve(d, span=use.span) for d in error.diagnostics)) from None
                found.append((path, program))
    return found


def _image_size(plan: Plan) -> int:
    data = plan.use("data")
    assert data is not None
    return int(data.trick.size)  # type: ignore[attr-defined]


def _teacher(program: Program, folder: Path, device: torch.device, ranks: Ranks) -> Callable[[Tensor], Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    def packed() -> bytes:
        try:
            return (folder / "model.safetensors").read_bytes()
        except OSError:
            return b""

    try:
        program.model.load_state_dict(load(ranks.decide(packed)))
    except (OSError, RuntimeError, SafetensorError) as error:
        help = f"remove the folder {folder}, and the teacher is trained again"
        raise fail("E001", f"the teacher's weights in `{folder}` can't be read", help=help) from error
    return teaching(program, device)


def teaching(program: Program, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The function from inputs (N, 3, H, W) to a teacher's logits (N, K), with the weights that it has."""
    plan = program.plan
    layout = torch.channels_last if plan.training.channels_last else torch.contiguous_format
    model = program.model.to(device=device, memory_format=layout).eval()  # type: ignore[call-overload]
    chosen = precision(plan.training.precision, device)

    @torch.no_grad()
    def teach(inputs: Tensor) -> Tensor:
        with chosen.autocast():
            return model(inputs).float()  # type: ignore[no-any-return]

    return teach
