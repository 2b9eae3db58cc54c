"""Kill a training at random times and in every stage of saving, and resume it each time.

python -m tests.durability.killing KILLS SEED FOLDER prints one line of JSON: the numbers of kills and finished runs,
and what went wrong. The training process is forked, so that it starts quickly.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.backends.backend_agg  # imported before forking, to save time
import matplotlib.figure  # noqa: F401
import torch

import recipe
from recipe.base import files
from recipe.runs import checkpoints as checkpoint
from tests.durability.trials import outcome, small
from tests.helpers import arguments

TEXT = (
    "data fake size=32 classes=10 images=24; batch 8; batch micro 4; epochs 3; lr 0.05 warmup 1 cosine; "
    "augment crop flip mixup; loss smooth; ema 0.9; precision bf16"
)
STAGES: tuple[tuple[Any, str], ...] = (
    (torch, "save"),
    (files, "write"),
    (os, "fsync"),
    (os, "fchmod"),
    (os, "replace"),
    (Path, "unlink"),
    (json, "dumps"),
)
"""The stages of saving. A process is killed before or after one of them."""


def train(out: Path) -> None:
    torch.set_num_threads(1)
    recipe.run(recipe.compile(TEXT, base=small()), out=out, device="cpu", resume=True, save_every="1")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(function: Callable[..., Any], after: bool, calls: int) -> Callable[..., Any]:
    """Wrap a function so that the process is killed before or after its n-th call."""
    left = [calls]

    def called(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and not after:
            die()
        result = function(*arguments, **options)
        if left[0] == 0:
            die()
        return result

    return called


def start(out: Path, stage: tuple[Any, str] | None = None, after: bool = False, calls: int = 1) -> int:
    """Fork a process that trains, and return its ID."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if stage:
            owner, name = stage
            setattr(owner, name, deadly(getattr(owner, name), after, calls))
            if owner is files:
                checkpoint.write = files.write
        try:
            train(out)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


def wait(child: int, seconds: float | None) -> int:
    """Wait for a process, or kill it when its time is up. Return its exit code, which is -9 if it was killed."""
    end = time.monotonic() + (600 if seconds is None else seconds)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def unsound(out: Path) -> list[str]:
    """Return the checkpoints of a run that can't be loaded."""
    found = []
    for path in (out / "checkpoints").glob("step-*.pt*"):
        try:
            checkpoint.unpack(path.read_bytes(), torch.device("cpu"))
        except Exception as error:
            found.append(f"{path.name}: {error}")
    return found


def lost(out: Path, before: int) -> int:
    """Return how many recorded steps come after the last checkpoint."""
    saved = [int(path.stem.removeprefix("step-")) for path in (out / "checkpoints").glob("step-*.pt")]
    lines = (out / "metrics.jsonl").read_text().splitlines() if (out / "metrics.jsonl").exists() else []
    steps = []
    for line in lines:
        try:
            steps.append(json.loads(line)["step"])
        except ValueError:  # the last line, half-written
            continue
    return max([0, *steps]) - max([0, *saved])


def main(kills: int, seed: int, folder: Path) -> dict[str, Any]:
    chance = random.Random(seed)
    began = time.monotonic()
    assert wait(start(folder / "whole"), None) == 0
    whole, length = outcome(folder / "whole"), time.monotonic() - began
    report: dict[str, Any] = {"kills": 0, "in stages": 0, "finished": 0, "wrong": []}
    while report["kills"] < kills:
        out = folder / f"run-{report['finished']}"
        at = 0
        while True:
            stage = chance.choice(STAGES) if chance.random() < 0.5 else None
            child = start(out, stage, chance.random() < 0.5, chance.randint(1, 12))
            status = wait(child, None if stage else chance.uniform(0, 0.8 * length))
            report["wrong"] += unsound(out)
            if lost(out, at) > 1:
                report["wrong"].append(f"{out.name}: {lost(out, at)} steps lost")
            if status == 0:
                break
            if status != -signal.SIGKILL:
                report["wrong"].append(f"{out.name}: exit code {status}")
                break
            report["kills"] += 1
            report["in stages"] += stage is not None
            if report["kills"] >= kills:
                assert wait(start(out), None) == 0
                break
        report["finished"] += 1
        if (status == 0 or report["kills"] >= kills) and outcome(out) != whole:
            report["wrong"].append(f"{out.name}: the outcome differs")
    return report


if __name__ == "__main__":
    print(json.dumps(main(*arguments(__doc__))))
