"""Send SIGINT, SIGTERM and SIGHUP to `recipe run --nproc 2` at random times, and resume the run each time.

python -m tests.durability.signalling SIGNALS SEED FOLDER prints one line of JSON: the exit codes, and what went wrong.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from recipe.base.signals import STOPPING
from tests.helpers import arguments

TEXT = (
    "base shufflenet_v2_x0_5; data fake size=32 classes=10 images=48; batch 8; epochs 4; lr 0.01; ema 0.9; loss smooth"
)
PATIENCE = 120
"""The number of seconds after which a training that doesn't stop counts as hung."""

STARTING = 0.3
"""Seconds in which a process may not have set its handlers yet, so that the signal ends it; a shell says 128 + n."""


def start(out: Path, processes: int = 2) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "recipe", "run", TEXT, "--resume", str(out), "--nproc", str(processes)]
    return subprocess.Popen(
        [*command, "--device", "cpu", "--save-every", "epoch"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def main(signals: int, seed: int, folder: Path) -> dict[str, Any]:
    chance = random.Random(seed)
    began = time.monotonic()
    assert start(folder / "whole").wait(600) == 0
    length = time.monotonic() - began
    whole = load_file(folder / "whole" / "model.safetensors")
    report: dict[str, Any] = {"signals": 0, "ended": Counter(), "slowest": 0.0, "finished": 0, "wrong": []}
    while report["signals"] < signals:
        out = folder / f"run-{report['finished']}"
        for _ in range(20):
            process, number, after = start(out), chance.choice(STOPPING), chance.uniform(0, length)
            time.sleep(after)
            done = process.poll() is not None
            process.send_signal(number)
            sent = time.monotonic()
            try:
                _, told = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                report["wrong"].append(f"signal {report['signals']}: hung")
                break
            status = process.returncode
            report["ended"][str(status)] += 1
            if not done:
                report["signals"] += 1
                report["slowest"] = max(report["slowest"], round(time.monotonic() - sent, 1))
            if status == 0:
                break
            if status != 128 + number and not (after < STARTING and status == -number):
                report["wrong"].append(f"signal {report['signals']}: exit code {status}: {told.decode()[-500:]}")
            if b"Traceback" in told or b"internal error" in told:
                report["wrong"].append(f"signal {report['signals']}: {told.decode()[-800:]}")
            if report["signals"] >= signals:
                break
        if status != 0 and start(out).wait(600) != 0:
            report["wrong"].append(f"{out.name} can't be resumed")
        report["finished"] += 1
        mine = load_file(out / "model.safetensors") if (out / "model.safetensors").exists() else {}
        if mine.keys() != whole.keys() or any((mine[name] != whole[name]).any() for name in whole):
            report["wrong"].append(f"{out.name}: the weights differ")
        shutil.rmtree(out)
    return report


if __name__ == "__main__":
    print(json.dumps(main(*arguments(__doc__))))
