"""Interrupt or kill an ablation at random times, and resume it each time.

python -m tests.ablation.interrupting TRIALS SEED FOLDER prints one line of JSON for each kind of ablation: the exit
codes, and whether the table is the same as that of an uninterrupted ablation, except for measured times and memory.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from recipe.ablation.cells.execute import STOPPED
from recipe.base.signals import STOPPING
from tests.helpers import arguments

TEXT = "base shufflenet_v2_x0_5; data fake size=32 classes=10 images={images}; batch 8; epochs 2; lr 0.01; ema 0.9"
TRICK = "; loss smooth"
ENDS = (-signal.SIGKILL, *STOPPED)
MEASURED = ("seconds_per_epoch", "peak_memory_bytes", "added")
KINDS = {
    "fixed": ("--mode", "add", "--seeds", "2"),
    "until": ("--mode", "add", "--until", "6", "--seeds", "6"),
    "screen": ("--mode", "screen", "--confirm"),
}
"""The kinds of ablations, by their options."""
FEW = ("--mode", "add", "--seeds", "1")
"""The options of an ablation of two runs."""


def start(out: Path, images: int, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
    text = TEXT.format(images=images) + (TRICK if options != FEW else "")
    command = [sys.executable, "-m", "recipe", "ablate", text, *options, "--device", "cpu"]
    return subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def told(out: Path) -> Any:
    """Return the table without its measurements."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items() if name not in MEASURED}
        return [plain(part) for part in value] if isinstance(value, list) else value

    return plain(json.loads((out / "table.json").read_text()))


def main(times: int, seed: int, folder: Path, images: int = 96, options: tuple[str, ...] = FEW) -> dict[str, Any]:
    """Interrupt an ablation ``times`` times. The last round runs to its end and is compared too."""
    chance, whole, out = random.Random(seed), folder / "whole", folder / "interrupted"
    began = time.monotonic()
    _, text = start(whole, images, options).communicate(timeout=1200)
    assert (whole / "table.json").is_file(), text.decode()
    length = time.monotonic() - began
    report: dict[str, Any] = {"interrupted": 0, "finished": 0, "ended": Counter(), "wrong": []}
    while True:
        process = start(out, images, options)
        left = times - report["interrupted"]
        try:
            _, text = process.communicate(timeout=chance.uniform(1, 1.2 * length / times) if left else 1200)
        except subprocess.TimeoutExpired:
            process.send_signal(chance.choice((*STOPPING, signal.SIGKILL)))
            _, text = process.communicate(timeout=300)
            report["interrupted"] += 1
        report["ended"][str(process.returncode)] += 1
        if process.returncode == 0:
            report["finished"] += 1
            if told(out) != told(whole):
                report["wrong"].append("the table differs")
            if not left:
                return report
            shutil.rmtree(out)
        elif process.returncode not in ENDS:
            report["wrong"].append(f"exit code {process.returncode}: {text.decode()}")
            return report


if __name__ == "__main__":
    trials, seed, folder = arguments(__doc__)
    for name, options in KINDS.items():
        print(json.dumps({"kind": name} | main(trials, seed, folder / name, options=options)), flush=True)
