"""Compare plans, diffs and trainings with those of another commit: python -m tests.before COMMIT [--only PART …]

Run it from the root of a clone. Each commit is installed in its own environment, which shares all other packages with
this one, and runs the same recipes with one thread. The plans of all examples and of 1,000 generated recipes are
compared by their digests and canonical texts, diffs by their JSON, and trainings by their weights, to the bit. So are
trainings on a folder of images, which this code repeats from the locks of the other one. Each result that differs is
printed on a line. The exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from PIL import Image

from tests.strategies import meaningful

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
    "freezing": (SMALL, "freeze gradual 0.1 0.7"),
    "micro batches": (SMALL, "batch 8 micro 3; loss bce"),
    "images": (SMALL, "augment crop flip jitter pca-noise erase mixup cutmix; loss smooth"),
    "trivial": (SMALL, "augment trivial; resize 0.8; decay 1e-3 no-bias"),
    "network": (SMALL, "tweak C D se blurpool stochastic-depth; init zero-gamma", "lr warmup 1 cosine"),
    "teacher": (SMALL, 'loss distill "{teacher}"'),
    "two processes": (SMALL, "augment crop mixup; ema 0.9; norm sync"),
    "two processes apart": (SMALL, "batch 8 micro 2; sam"),
}
"""The recipe of each training. Those whose names start with "two processes" train in two processes."""

TRAIN = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import recipe
if __name__ == "__main__":
    out, first, *texts = sys.argv[1:]
    if Path("tricks/freeze.py").exists():  # before `freeze` had clauses
        texts = [text.replace("freeze gradual", "freeze") for text in texts]
    given = Path("examples/full.recipe") if first == "full" else Path(first) if first.endswith(".lock") else first
    recipe.run(given, *texts, out=out, device="cpu")
"""
LOCKED: Mapping[str, str] = {
    "plain": 'base resnet18; data folder "{photos}" size=32 workers=0; batch 4; epochs 2; lr 0.05',
    "augmented": 'base resnet18; data folder "{photos}" size=32; batch 8; epochs 2; lr 0.05; augment crop flip mixup; '
    "optimizer adamw; loss smooth",
    "mobile": 'base mobilenet_v3_small; data folder "{photos}" size=64 workers=0; batch 4; epochs 1; lr 0.01; ema 0.9',
}
"""The recipes of trainings on a folder, which are repeated from their locks."""

LONGEST = 600
"""The time limit of a training, in seconds."""


MADE_UP = 1000
SHOWN = 10
PLANS = """
import json, sys
from pathlib import Path
from recipe import RecipeError
try:
    from recipe.language.recipe_input import source_from
    from recipe.plan.bind import bind
except ModuleNotFoundError:  # before the modules moved into packages
    from recipe.bind import bind
    from recipe.inputs import source_from

def known(text):
    try:
        plan = bind([source_from(Path(text) if text.startswith("examples/") else text)], data=True)
    except RecipeError as error:
        return sorted(diagnostic.code for diagnostic in error.diagnostics)
    return [plan.digest, plan.canonical()]

print(json.dumps({text: known(text) for text in json.load(sys.stdin)}))
"""
DIFFS = """
import json, sys
import recipe
print(json.dumps({" | ".join(pair): recipe.diff(*pair).to_dict() for pair in json.load(sys.stdin)}))
"""
PAIRS = (
    ("base resnet50", "base resnet50; tweak C D"),
    ("base resnet50; tweak A", "base resnet50; tweak B; init zero-gamma"),
    ("base resnet18; data digits", "base resnet34; data digits"),
    ("base resnet18; data digits; lr warmup 1 cosine", "base resnet18; data digits; lr step 3 6"),
    ("base resnet18; optimizer nag", "base resnet18; optimizer adamw"),
    ("base resnet18; decay 1e-4", "base resnet18; decay 1e-4 no-bias"),
    ("base resnet18; loss smooth", "base resnet18; loss bce; augment mixup"),
    ("base mobilenet_v2; tweak se", "base mobilenet_v2"),
    ("base resnext50_32x4d; tweak blurpool", "base resnext50_32x4d; tweak stochastic-depth"),
    ("dialect torchvision; base resnet50; data fake", "dialect gluoncv; base resnet50; data fake; precision bf16"),
)
"""Pairs of recipes to compare with `recipe.diff`."""


@attrs.frozen
class Side:
    """The code of one commit: its folder, and the Python of the environment it is installed in."""

    tree: Path
    python: str

    @classmethod
    def install(cls, tree: Path, home: Path) -> Side:
        """Install the code of a folder in a new environment in ``home``, with the dependencies of this one."""
        venv.create(home, with_pip=False)
        copied = home / "tree"  # the build may write to it
        copied.mkdir()
        what = ("pyproject.toml", "README.md", "LICENSE", "recipe", "grammar", "tricks", "examples")
        subprocess.run(["cp", "-a", *(str(tree / name) for name in what), str(copied)], check=True)
        (site,) = home.glob("lib/python*/site-packages")
        (site / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        python = str(home / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--force-reinstall"]
        subprocess.run([*pip, str(copied)], check=True)
        return cls(tree, python)

    def environment(self) -> dict[str, str]:
        """Return the environment variables of its processes, with a cache of its own."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**kept, "OMP_NUM_THREADS": "1", "RECIPE_CACHE": str(Path(self.python).parents[1] / "cache")}


@attrs.frozen
class Ended:
    """The result of a training: a digest of its weights, or an error."""

    weights: str = ""
    error: str = ""

    def __str__(self) -> str:
        return self.weights or self.error


def ended(side: Side, folder: Path) -> dict[str, Ended]:
    """Train every recipe in `RUNS` and return the results."""
    teacher = folder / "teacher.recipe"
    teacher.write_text(f"base resnet18; {DATA}; batch 8; epochs 1; lr 0.05\n")
    endings = {}
    for number, (name, texts) in enumerate(RUNS.items()):
        out = folder / f"run-{number}"
        words = [str(out), *(text.replace("{teacher}", str(teacher)) for text in texts)]
        command = [side.python, "-P", "-c", TRAIN, *words]
        if name.startswith("two processes"):
            script = folder / "train.py"
            script.write_text(TRAIN)
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
            command = [side.python, *launch, str(script), *words]
        endings[name] = _ended(side, command, out)
    return endings


def _ended(side: Side, command: list[str], out: Path) -> Ended:
    """Train into a folder, and return the result."""
    try:
        done = subprocess.run(
            command, cwd=side.tree, env=side.environment(), capture_output=True, text=True, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return Ended(error=f"took more than {LONGEST} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed"]
        return Ended(error=next((line for line in lines if "error[" in line or "Error" in line), lines[-1]))
    return Ended(hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()[:16])


def from_locks(side: Side, folder: Path) -> dict[str, Ended]:
    """Train every recipe in `LOCKED`, the second side from the locks of the first, and return the results."""
    photos, first = folder.parent / "photos", folder.with_name("locks-0")
    if not photos.exists():
        _write_photos(photos)
    endings = {}
    for name, text in LOCKED.items():
        given = text.replace("{photos}", str(photos)) if folder == first else str(first / name / "recipe.lock")
        out = folder / name
        endings[name] = _ended(side, [side.python, "-P", "-c", TRAIN, str(out), given], out)
    return endings


def _write_photos(folder: Path) -> None:
    """Write images that look otherwise if their orientation, transparency or subfolder counts."""
    draws = np.random.default_rng(0)
    for part, count in (("train", 16), ("val", 6)):
        for label in ("cat", "dog"):
            for number in range(count):
                pixels = draws.integers(0, 256, (40, 56, 4), dtype=np.uint8)
                place = folder / part / label / ("inside" if number % 5 == 4 else "")
                place.mkdir(parents=True, exist_ok=True)
                image, exif = Image.fromarray(pixels), Image.Exif()
                exif[0x112] = 1 + number % 8
                if number % 2:
                    image.save(place / f"{number}.png")
                else:
                    image.convert("RGB").save(place / f"{number}.jpg", exif=exif)


def made_up(number: int) -> list[str]:
    """Generate recipes that bind, the same ones in every call."""
    texts: list[str] = []

    @seed(7)
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(meaningful())
    def collect(statements: list[str]) -> None:
        texts.append("\n".join(statements))

    collect()
    return texts


def asked(side: Side, script: str, what: Any) -> dict[str, Any]:
    """Run a script and return the JSON that it prints."""
    done = subprocess.run(  # in the same folder for both sides, because paths in recipes are relative to it
        [side.python, "-P", "-c", script],
        cwd=ROOT,
        env=side.environment(),
        input=json.dumps(what),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def plans(side: Side, folder: Path) -> dict[str, Any]:
    examples = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "examples").rglob("*.recipe"))
    return asked(side, PLANS, [*examples, *made_up(MADE_UP)])


def differences(side: Side, folder: Path) -> dict[str, Any]:
    return asked(side, DIFFS, PAIRS)


PARTS: Mapping[str, Callable[[Side, Path], Mapping[str, Any]]] = {
    "plans": plans,
    "differences": differences,
    "trainings": ended,
    "locks": from_locks,
}


def other(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each result that differs between the sides, or that failed on both."""
    same = {name for name in before if before[name] == now.get(name) and not getattr(now[name], "error", "")}
    return [f"{name!r}: {str(before[name])[:300]} | {str(now.get(name))[:300]}" for name in before if name not in same]


def main(commit: str, parts: list[str]) -> int:
    differ = 0
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "before"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(tree), commit], cwd=ROOT, check=True)
        try:
            sides = [Side.install(place, Path(name) / f"side-{number}") for number, place in enumerate((tree, ROOT))]
            for part in parts:
                folders = [Path(name) / f"{part}-{number}" for number in range(2)]
                for folder in folders:
                    folder.mkdir()
                before, now = (PARTS[part](side, folder) for side, folder in zip(sides, folders, strict=True))
                lines = other(before, now)
                print(
                    f"{part}: {len(before) - len(lines)} of {len(before)} are the same", *lines, sep="\n  ", flush=True
                )
                differ += len(lines)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
    return int(differ > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.before", description="Compare results with another commit.")
    parser.add_argument("commit", help="the commit to compare with")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="the parts to compare")
    options = parser.parse_args()
    revision = ["git", "rev-parse", "--verify", "-q", f"{options.commit}^{{commit}}"]
    if subprocess.run(revision, cwd=ROOT, capture_output=True).returncode:
        parser.error(f"no commit `{options.commit}` in this clone")
    sys.exit(main(options.commit, options.only))
