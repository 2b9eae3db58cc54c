"""End trainings in one process and in two at random times: by `recipe finish`, by --max-time and by SIGTERM.

python -m tests.durability.ending TRIALS SEED FOLDER makes this many trials of each of the six, resumes each training to
its end, and prints one line of JSON: how the trainings ended, and what went wrong. Each process is forked, so that it
starts quickly, and runs the command line.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.backends.backend_agg  # noqa: F401 (imported before forking, to save time)
import scipy.special  # noqa: F401
import torch
import torchvision  # noqa: F401
from safetensors.torch import load_file

import recipe.__main__
import recipe.training.engine
from recipe.base.typed_json import Malformed
from recipe.devices.launch import _status
from recipe.runs import requests
from recipe.runs.exclusive import user_of
from recipe.runs.reader import measured, read_summary
from recipe.runs.records import ENDED_EARLY, FINISHED
from recipe.runs.weights import packed_weights
from recipe.testing.rules.resume import digest_of
from tests.helpers import arguments

TEXT = "base shufflenet_v2_x0_5; data fake size=32 classes=10 images=32; batch 8; epochs 3; lr 0.01; ema 0.9"
STEPS = 12
KINDS = ("finish", "max-time", "SIGTERM")
PATIENCE = 120
"""The number of seconds after which a process that doesn't end counts as hung."""


def fork(words: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> int:
    """Fork a process that runs the command line, and return its ID."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        for number in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        os.environ.update(environment or {})
        torch.set_num_threads(1)
        sys.argv = ["recipe", *words]
        recipe.__main__.main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        os._exit(status)


def train(world: int, out: Path, *options: str) -> list[int]:
    """Start or resume a training in ``world`` processes, and return their IDs."""
    words = ["run", TEXT, "--resume", str(out), "--device", "cpu", "--save-every", "epoch", *options]
    log = out.with_suffix(".log")
    if world == 1:
        return [fork(words, log)]
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = str(found.getsockname()[1])
    common = {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]
    return [fork(words, log, {**common, **rank}) for rank in ranks]


def wait(children: Sequence[int]) -> list[int] | None:
    """Wait for processes, and return their exit codes, or None after killing them if they hang."""
    end, codes = time.monotonic() + PATIENCE, dict[int, int]()
    while len(codes) < len(children):
        for child in {*children} - codes.keys():
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                codes[child] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            for child in {*children} - codes.keys():
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            return None
        time.sleep(0.005)
    return [codes[child] for child in children]


def has_exited(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def unsound(out: Path) -> list[str]:
    """Return what the folder of a run lacks that ended with exit code 0."""
    try:
        summary, weights = read_summary(out), packed_weights(out)
    except (OSError, Malformed) as error:
        return [f"summary or weights: {error}"]
    found = []
    if (summary["status"], summary["steps"] == STEPS) not in ((FINISHED, True), (ENDED_EARLY, False)):
        found.append(f"{summary['status']} after {summary['steps']} steps")
    if not weights or not (out / "curves.png").is_file():
        found.append("no weights or curves")
    if (out / requests.NAME).exists():
        found.append("the request is still there")
    last = measured(out)[-1]
    if last["kind"] != "evaluation" or (last["step"], last["loss"]) != (summary["steps"], summary["loss"]):
        found.append(f"the last line of metrics is {last}")
    saved = sorted((out / "checkpoints").iterdir())[-1]
    if saved.name != f"step-{summary['steps']:09d}.pt":
        found.append(f"the last checkpoint is {saved.name}")
    average, evaluated = torch.load(saved, weights_only=True)["average"], load_file(out / "model.safetensors")
    if any(not torch.equal(average[name], evaluated[name]) for name in average):
        found.append("the weights are not those of the checkpoint")
    return found


def ended(world: int, kind: str, out: Path, delay: float, report: dict[str, Any]) -> str:
    """Train until a training is ended after ``delay`` seconds. Return how it ended."""
    if kind == "max-time":
        children, sent = train(world, out, "--max-time", f"{max(delay, 1e-3):.3f}s"), time.monotonic() + delay
        codes = wait(children)
    else:
        children = train(world, out)
        while kind == "finish" and not user_of(out) and not has_exited(children[0]):
            time.sleep(0.005)  # until there is a training to finish
        time.sleep(delay)
        sent, asked = time.monotonic(), [0]
        if kind == "finish":
            asked = wait([fork(["finish", str(out), "--wait"], out.with_suffix(".finish.log"))]) or [-1]
        else:
            for child in children:
                os.kill(child, signal.SIGTERM)
        codes = wait(children)
        if asked not in ([0], [2]):  # 2 if nothing is training yet, or any more
            return f"wrong: finish has the exit code {asked[0]}"
        if asked == [2]:
            said = out.with_suffix(".finish.log").read_text()
            if "error[E134]" not in said or "without results" in said:
                return f"wrong: finish says {said}"
    report["slowest"] = max(report["slowest"], round(time.monotonic() - sent, 1))
    if codes is None:
        return "wrong: hung"
    status = _status(codes) if any(codes) else 0
    said = out.with_suffix(".log").read_text()
    if "Traceback" in said or "internal error" in said or status not in (0, 143 if kind == "SIGTERM" else 0):
        return f"wrong: exit code {status}: {said[-800:]}"
    if status:
        return "stopped"
    found = unsound(out)
    return f"wrong: {found}" if found else str(read_summary(out)["status"])


def main(trials: int, seed: int, folder: Path) -> dict[str, Any]:
    chance = random.Random(seed)
    report: dict[str, Any] = {"trials": 0, "ended": {}, "slowest": 0.0, "wrong": []}
    for world in (1, 2):
        began = time.monotonic()
        assert wait(train(world, folder / f"whole-{world}")) == [0] * world, "an undisturbed training fails"
        length, whole = time.monotonic() - began, digest_of(folder / f"whole-{world}")
        for kind in KINDS:
            ways = report["ended"][f"{kind}, {world}"] = Counter[str]()
            out, left = folder / f"{kind}-{world}", trials
            while left:
                for _ in range(min(left, chance.randint(1, 3))):  # a training may be ended several times
                    way = ended(world, kind, out, chance.uniform(0, length) * (0.2 if kind == "finish" else 1), report)
                    report["trials"], left = report["trials"] + 1, left - 1
                    ways[way.partition(":")[0]] += 1
                    if way.startswith("wrong"):
                        report["wrong"].append(f"{kind}, {world}: {way}")
                if wait(train(world, out)) != [0] * world:
                    report["wrong"].append(f"{kind}, {world}: it can't be resumed")
                else:
                    report["wrong"] += [f"{kind}, {world}, resumed: {problem}" for problem in unsound(out)]
                    if digest_of(out) != whole:
                        report["wrong"].append(f"{kind}, {world}: the outcome differs")
                shutil.rmtree(out, ignore_errors=True)
                for log in folder.glob("*.log"):
                    log.unlink()
    return report


if __name__ == "__main__":
    print(json.dumps(main(*arguments(__doc__))))
