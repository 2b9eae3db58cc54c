"""Time the commands that need no torch, compiling for costs, and `recipe diff`.

Run it on an idle machine, from the root of the repository: python -m tests.benchmarks.startup
Each command is timed as a whole process, alternating with its reference. The first round is not counted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "examples" / "full.recipe"
ROUNDS = 15
REFERENCE = [sys.executable, "-c", "import click, lark, attrs"]
COMMANDS = {
    "recipe check": [sys.executable, "-m", "recipe", "check", str(RECIPE)],
    "recipe fmt --check": [sys.executable, "-m", "recipe", "fmt", "--check", str(RECIPE)],
}
COMPILE = """
import time
import torch, torchvision, recipe
recipe.compile
began = time.perf_counter()
recipe.compile("base resnet50; tweak B C D; init zero-gamma", device="meta")
first = time.perf_counter() - began
began = time.perf_counter()
recipe.compile("base resnet50; tweak B C D; init zero-gamma", device="meta")
print(first, time.perf_counter() - began)
"""


DIFF = [sys.executable, "-m", "recipe", "diff", "base resnet50", "base resnet50; tweak C D"]
TORCHVISION = [sys.executable, "-c", "import torchvision"]


def seconds(command: list[str], cache: Path | None = None) -> float:
    environment = {**os.environ, "RECIPE_CACHE": str(cache)} if cache else None
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
    return time.perf_counter() - began


def compare(command: list[str]) -> tuple[float, list[float]]:
    """Return the median seconds of a command, and its ratio to the reference in each round."""
    rounds = [(seconds(command), seconds(REFERENCE)) for _ in range(ROUNDS + 1)][1:]
    return statistics.median(a for a, _ in rounds), [a / b for a, b in rounds]


def differences() -> list[str]:
    """Time a diff with an empty cache, minus the import of torchvision, and with a full cache."""
    beyond, again = [], []
    for _ in range(7):
        with tempfile.TemporaryDirectory() as folder:
            reference = seconds(TORCHVISION)
            beyond.append(seconds(DIFF, Path(folder)) - reference)
            again.append(seconds(DIFF, Path(folder)))
    lines = [
        "",
        "## Differences",
        "",
        "Whole processes of `recipe diff 'base resnet50' 'base resnet50; tweak C D'`, alternating with "
        "`python -c 'import torchvision'`; 7 rounds.",
        "",
        "| | median | lowest to highest |",
        "|---|---|---|",
    ]
    for name, times in (("empty cache, on top of `import torchvision`", beyond), ("full cache, total", again)):
        lines.append(f"| {name} | {statistics.median(times):.2f} s | {min(times):.2f} to {max(times):.2f} s |")
    return lines


def commands() -> list[str]:
    """Time the commands that need no torch."""
    lines = [
        "## Commands without torch",
        "",
        "Whole processes on `examples/full.recipe`, alternating with "
        f"`python -c 'import click, lark, attrs'`; {ROUNDS} rounds.",
        "",
        "| command | median | relative to the import, median | lowest to highest |",
        "|---|---|---|---|",
    ]
    for name, command in COMMANDS.items():
        median, ratios = compare(command)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(f"| `{name}` | {median:.3f} s | {statistics.median(ratios):.2f} | {spread} |")
    return lines


def compilations() -> list[str]:
    """Time compiling without weights."""
    lines = [
        "",
        "## Compiling for costs",
        "",
        "Compiling `base resnet50; tweak B C D; init zero-gamma` with `device='meta'`, excluding imports; 5 processes.",
        "",
        "| | median | lowest to highest |",
        "|---|---|---|",
    ]
    runs = [
        [float(word) for word in subprocess.check_output([sys.executable, "-c", COMPILE], text=True, cwd=ROOT).split()]
        for _ in range(5)
    ]
    for name, times in zip(("first in a process", "second in a process"), zip(*runs, strict=True), strict=True):
        lines.append(f"| {name} | {statistics.median(times):.2f} s | {min(times):.2f} to {max(times):.2f} s |")
    return lines


def section() -> list[str]:
    """Return the measurements as lines of Markdown."""
    return [*commands(), *compilations(), *differences()]


def main() -> None:
    print("\n".join(section()))


if __name__ == "__main__":
    main()
