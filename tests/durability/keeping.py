"""Kill a training that keeps its best weights around the writes of its files, and resume it each time.

python -m tests.durability.keeping KILLS SEED FOLDER prints one line of JSON: the numbers of kills and finished runs,
and what went wrong. After each kill, the folder must be usable and the best weights the best. A resumed run must end
with the files of one that was not killed, to the bit. The training process is forked, so that it starts quickly.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

import recipe
from recipe.api import Trick, trick
from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.runs import checkpoints
from recipe.runs.best import read_best
from recipe.runs.held_out import read_held_out
from recipe.runs.reader import read_summary
from recipe.runs.state import TrainingState
from recipe.training.runtime import Runtime
from tests.durability.killing import die, unsound, wait
from tests.durability.trials import outcome, small
from tests.helpers import arguments, vocabulary_with

TEXT = (
    "data fake size=32 classes=10 images=24; batch 8; epochs 12; lr 0.01; ema 0.3; augment flip; metric drawn; "
    "keep best by=drawn; patience 4; seed 9"
)
"""On most machines, the best epoch changes several times, and the training ends early."""


@trick("metric drawn")
class Drawn(Trick):
    """Compute a number that depends on every bit of the logits, so that any epoch can be the best."""

    def metric_modes(self) -> Mapping[str, str]:
        return {"drawn": "max"}

    def metrics(self, logits: Tensor, labels: Tensor) -> Mapping[str, float]:
        return {"drawn": int(hashlib.sha256(logits.numpy().tobytes()).hexdigest()[:4], 16) / 65536}


WRITTEN = {
    "weights": "model.safetensors",
    "checkpoint": "step-",
    "evaluation": "evaluation.npz",
    "summary": "summary.json",
}
MOMENTS = ("before", "while", "after")
SCHEDULES = ("epoch", "1", "6", "1h")
"""With the last two, checkpoints are older than the best weights."""


@attrs.frozen
class Kill:
    """A process is killed before, while or after it writes a kind of file for the n-th time."""

    kind: str
    moment: str
    number: int

    @classmethod
    def draw(cls, chance: random.Random) -> Kill:
        (kind,) = chance.choices([*WRITTEN], (4, 4, 1, 1))  # the last two are written once
        return cls(kind, chance.choice(MOMENTS), 1 if kind in ("evaluation", "summary") else chance.randint(1, 3))


class Recording(Runtime):
    """A runtime that draws no curves, and records the best evaluation that each checkpoint counts."""

    def __init__(self) -> None:
        self.best: dict[int, Any] = {}

    def save(self, folder: Path, state: TrainingState, *options: Any) -> None:
        assert state.best is None or state.best["content"] == read_best(folder.parent).best.content  # type: ignore[union-attr]
        self.best[state.step] = state.best
        super().save(folder, state, *options)

    def draw(self, folder: Path) -> str:
        return ""


def train(out: Path, save_every: str, runtime: Runtime | None = None) -> recipe.Run:
    torch.set_num_threads(1)
    program = recipe.compile(TEXT, base=small(), plugins=vocabulary_with(Drawn))
    return recipe.run(
        program, out=out, device="cpu", resume=True, save_every=save_every, runtime=runtime or Recording()
    )


def deadly(kill: Kill) -> Callable[..., None]:
    """Return `files.write`, except that it kills the process."""
    write, replace, left = files.write, os.replace, [kill.number]

    def written(path: Path, fill: Callable[..., object]) -> None:
        if path.name.startswith(WRITTEN[kill.kind]):
            left[0] -= 1
        if left[0] or not path.name.startswith(WRITTEN[kill.kind]):
            write(path, fill)
            return
        if kill.moment == "before":
            die()
        if kill.moment == "while":
            os.replace = lambda *_: die()
        write(path, fill)
        os.replace = replace
        die()

    return written


def start(out: Path, save_every: str, kill: Kill | None) -> int:
    """Fork a process that trains, and return its ID."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if kill is not None:
            files.write = deadly(kill)
        try:
            train(out, save_every)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


def ending(out: Path) -> dict[str, Any]:
    """Return everything that a finished run leaves and that doesn't depend on time."""
    varying = ("seconds", "images_per_second", "peak_memory_bytes", "checksum")
    summary = {name: value for name, value in read_summary(out).items() if name not in varying}
    contents = {name: (out / name).read_bytes().hex() for name in ("model.safetensors", "evaluation.npz")}
    return {"summary": summary, "outcome": outcome(out), **contents}


def wrong(out: Path, known: dict[int, Any]) -> list[str]:
    """Return what is wrong with the folder of a killed run. ``known`` has the best evaluation after each step."""
    problems, states = unsound(out), list[TrainingState]()
    for path in checkpoints.saved_in(out / "checkpoints"):
        states.append(checkpoints.unpack(path.read_bytes(), torch.device("cpu")))
    counted = states[-1].best if states else None
    file = read_best(out)
    if (out / "model.safetensors").exists() and file is None:
        problems.append("the weights are damaged")
    if file is None:
        return problems + (["the best weights are missing"] if counted else [])
    at = [step for step, best in known.items() if best and best["content"] == file.best.content]
    if not at:
        problems.append(f"the weights of epoch {file.best.epoch:g} were never the best")
    elif counted and max(at) < states[-1].step:
        problems.append(f"the weights of epoch {file.best.epoch:g} are worse than those of epoch {counted['epoch']:g}")
    if (out / "summary.json").exists():
        try:
            read_held_out(out)
        except RecipeError as error:
            problems.append(str(error))
        if read_summary(out)["weights_sha256"] != file.best.sha256:
            problems.append("the summary names other weights")
    return problems


def main(kills: int, seed: int, folder: Path) -> dict[str, Any]:
    chance = random.Random(seed)
    recording = Recording()
    train(folder / "whole", "1", recording)
    whole = ending(folder / "whole")
    report: dict[str, Any] = {"kills": 0, "finished": 0, "by": dict.fromkeys(WRITTEN, 0), "wrong": []}
    while report["kills"] < kills:
        out, save_every = folder / f"run-{report['finished']}", chance.choice(SCHEDULES)
        status = -signal.SIGKILL
        while status == -signal.SIGKILL:
            kill = Kill.draw(chance) if report["kills"] < kills else None
            status = wait(start(out, save_every, kill), None)
            report["wrong"] += [
                f"{out.name}, {kill}, {save_every}: {problem}" for problem in wrong(out, recording.best)
            ]
            if status == -signal.SIGKILL and kill is not None:
                report["kills"] += 1
                report["by"][kill.kind] += 1
        if status != 0:
            report["wrong"].append(f"{out.name}: exit code {status}")
        elif ending(out) != whole:
            differs = [name for name, value in ending(out).items() if value != whole[name]]
            report["wrong"].append(f"{out.name}, {save_every}: other {', '.join(differs)}")
        report["finished"] += 1
    return report


if __name__ == "__main__":
    print(json.dumps(main(*arguments(__doc__))))
