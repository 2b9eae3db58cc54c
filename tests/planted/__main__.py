"""Plant faults in a copy of the code, one at a time, and see which tests find them: python -m tests.planted [WORD …]

From the root of a clone. A WORD chooses the faults whose names hold it. A line tells of each fault which test found it
first; the exit status is 1 where one was not found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers import seed
from tests.planted.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
PYTEST = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "auto", "--dist", "loadgroup", "--no-loadscope-reorder"]


def found(tree: Path, tests: list[str]) -> str:
    """The first test that fails in a folder; nothing where all pass."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "RECIPE_TEST_SEED": str(seed())}
    call = [*PYTEST, "-p", "no:cacheprovider", *tests]
    done = subprocess.run(call, cwd=tree, env=environment, capture_output=True, text=True)
    names = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode and not names:
        return "the tests can't be run: " + (done.stdout + done.stderr).strip().splitlines()[-1]
    said = re.search(r"^E +(.+)$", done.stdout, re.MULTILINE)
    return f"{names[0]}: {said[1][:120] if said else ''}" if names else ""


def plant(fault: Fault, tree: Path) -> None:
    file = tree / fault.file
    text = file.read_text("utf-8")
    assert text.count(fault.before) == 1, f"{fault.name}: its place is in {fault.file} {text.count(fault.before)} times"
    file.write_text(text.replace(fault.before, fault.after), "utf-8")


def main(words: list[str]) -> int:
    unseen = 0
    for fault in FAULTS:
        if words and not any(word in fault.name for word in words):
            continue
        with tempfile.TemporaryDirectory() as name:
            tree = Path(name) / "tree"
            ignored = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "__pycache__", "runs")
            shutil.copytree(ROOT, tree, ignore=ignored, symlinks=True)
            plant(fault, tree)
            began = time.monotonic()
            test = found(tree, fault.tests.split()) or found(tree, [])
        unseen += not test
        print(f"{fault.name} ({time.monotonic() - began:.0f} s): {test or 'NOT FOUND'}", flush=True)
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
