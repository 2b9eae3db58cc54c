"""Whether trainings end with the same weights as with the code of another commit: python -m tests.before COMMIT

From the root of a clone. Both are run in this environment, one thread each, on the same recipes; a line tells of each
whether its weights are the same to the bit. The exit status is 1 where some are not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[1]
DATA = "data fake size=32 classes=10 images=26"
SMALL = f"base resnet18; {DATA}; batch 8; epochs 2; lr 0.05"
RUNS: Mapping[str, tuple[str, ...]] = {
    "full": ("full", "epochs 2; data fake size=32 classes=10 images=130; precision fp32"),
    "full, bf16": ("full", "epochs 1; data fake size=32 classes=10 images=130; precision bf16"),
    "nothing": (SMALL,),
    "sgd": (SMALL, "optimizer sgd"),
    "adamw": (SMALL, "optimizer adamw; lr 1e-3"),
    "lars": (SMALL, "optimizer lars"),
    "average": (SMALL, "ema 0.9"),
    "sam": (SMALL, "sam 0.1; clip 0.5"),
    "freezing": (SMALL, "freeze 0.1 0.7"),
    "micro batches": (SMALL, "batch 8 micro 3; loss bce"),
    "images": (SMALL, "augment crop flip jitter pca-noise erase mixup cutmix; loss smooth"),
    "trivial": (SMALL, "augment trivial; resize 0.8; decay 1e-3 no-bias"),
    "network": (SMALL, "tweak C D se blurpool stochastic-depth; init zero-gamma", "lr warmup 1 cosine"),
    "teacher": (SMALL, 'loss distill "{teacher}"'),
    "two processes": (SMALL, "augment crop mixup; ema 0.9; norm sync"),
    "two processes apart": (SMALL, "batch 8 micro 2; sam"),
}
"""Statements by a name; those of two processes are trained by two."""

TRAIN = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import recipe
if __name__ == "__main__":
    out, first, *texts = sys.argv[1:]
    given = Path("examples/full.recipe") if first == "full" else first
    recipe.run(given, *texts, out=out, device="cpu")
"""
LONGEST = 600
"""Seconds that a training may take."""


@attrs.frozen
class Ended:
    """How a training ended: with weights, as a digest, or with an error."""

    weights: str = ""
    error: str = ""

    def __str__(self) -> str:
        return self.weights or self.error


def ended(tree: Path, folder: Path) -> dict[str, Ended]:
    """How the trainings of every recipe end with the code in a folder."""
    teacher = folder / "teacher.recipe"
    teacher.write_text(f"base resnet18; {DATA}; batch 8; epochs 1; lr 0.05\n")
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    found = {}
    for number, (name, texts) in enumerate(RUNS.items()):
        out = folder / f"run-{number}"
        words = [str(out), *(text.replace("{teacher}", str(teacher)) for text in texts)]
        command = [sys.executable, "-c", TRAIN, *words]
        if name.startswith("two processes"):
            script = folder / "train.py"
            script.write_text(TRAIN)
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
            command = [sys.executable, *launch, str(script), *words]
        try:
            done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            found[name] = Ended(error=f"it takes more than {LONGEST} s")
            continue
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it failed"]
            found[name] = Ended(error=next((line for line in lines if "error[" in line or "Error" in line), lines[-1]))
        else:
            found[name] = Ended(hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()[:16])
    return found


def main(commit: str) -> int:
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "before"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(tree), commit], cwd=ROOT, check=True)
        try:
            sides = []
            for label, place in (("before", tree), ("now", ROOT)):
                folder = Path(name) / f"runs-{label}"
                folder.mkdir()
                sides.append(ended(place, folder))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
    before, now = sides
    same = [run for run in RUNS if before[run] == now[run] and now[run].weights]
    for run in RUNS:
        print(f"{'same ' if run in same else 'OTHER'}  {run}: {before[run]} | {now[run]}")
    print(f"{len(same)} of {len(RUNS)} trainings end with the same weights")
    return int(len(same) < len(RUNS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.before", description="Compare trainings with another commit."
    )
    parser.add_argument("commit", help="the commit to compare with")
    given = parser.parse_args().commit
    known = subprocess.run(["git", "rev-parse", "--verify", "-q", f"{given}^{{commit}}"], cwd=ROOT, capture_output=True)
    if known.returncode:
        parser.error(f"there is no commit {given} in this clone")
    sys.exit(main(given))
