"""Whether trainings end with the same weights as with the code of another commit: python -m tests.before COMMIT

From the root of a clone. Both are run in this environment, one thread each, on the same recipes; a line tells of each
whether its weights are the same to the bit. The exit status is 1 where some are not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

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
import hashlib, json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import recipe
if __name__ == "__main__":
    name, out, *texts = sys.argv[1:]
    first = Path(texts[0] + ".recipe") if texts[0] == "full" else texts[0]
    recipe.run(Path("examples") / first if isinstance(first, Path) else first, *texts[1:], out=out, device="cpu")
"""


def weights(tree: Path, folder: Path) -> dict[str, str]:
    """The weights that the code in a folder comes to, for each recipe, as digests; what fails tells its last line."""
    import hashlib

    teacher = folder / "teacher.recipe"
    teacher.write_text(f"base resnet18; {DATA}; batch 8; epochs 1; lr 0.05\n")
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    found = {}
    for number, (name, texts) in enumerate(RUNS.items()):
        out = folder / f"run-{number}"
        given = [text.replace("{teacher}", str(teacher)) for text in texts]
        command = [sys.executable, "-c", TRAIN, name, str(out), *given]
        if name.startswith("two processes"):
            script = folder / "train.py"
            script.write_text(TRAIN)
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
            command = [sys.executable, *launch, str(script), name, str(out), *given]
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
        if done.returncode:
            found[name] = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        else:
            found[name] = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()[:16]
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
                sides.append(weights(place, folder))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
    before, now = sides
    for run in RUNS:
        print(f"{'same' if before[run] == now[run] else 'OTHER'}  {run}: {before[run]} {now[run]}")
    same = sum(before[run] == now[run] for run in RUNS)
    print(json.dumps({"runs": len(RUNS), "same": same}))
    return int(same < len(RUNS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
