"""Plant faults in a copy of the code, one at a time, and see which tests find them: python -m tests.planted [WORD …]

From the root of a clone; about a minute a fault. A WORD chooses the faults whose names hold it. A line tells of each
fault which test found it first, and what it said; a test that fails without the fault too finds nothing. The exit
status is 1 where a fault was not found.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from tests.helpers import SEED
from tests.planted.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
SUITE = ["-x", "-n", "auto", "--dist", "loadgroup", "--no-loadscope-reorder"]


@attrs.frozen
class Failure:
    """A test that failed, by its name, and the first line of what it said."""

    test: str
    said: str

    def __str__(self) -> str:
        return f"{self.test}: {self.said[:120]}"


def failing(tree: Path, words: Sequence[str]) -> Failure | None:
    """The first test that fails in a folder. Raises `RuntimeError` where the tests can't be run."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "RECIPE_TEST_SEED": str(SEED)}
    done = subprocess.run([*PYTEST, *words], cwd=tree, env=environment, capture_output=True, text=True)
    names = re.findall(r"^FAILED (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode and not names:
        raise RuntimeError((done.stdout + done.stderr).strip().splitlines()[-1])
    said = re.search(r"^E +(.+)$", done.stdout, re.MULTILINE)
    return Failure(names[0], said[1] if said else "") if names else None


def copied(folder: Path) -> Path:
    """A copy of the code."""
    by_name = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "__pycache__")

    def ignored(directory: str, names: list[str]) -> set[str]:
        return by_name(directory, names) | ({"runs"} if Path(directory) == ROOT else set())

    return Path(shutil.copytree(ROOT, folder / "tree", ignore=ignored, symlinks=True))


def plant(fault: Fault, tree: Path) -> None:
    file = tree / fault.file
    text = file.read_text("utf-8")
    assert text.count(fault.before) == 1, f"{fault.name}: its place is in {fault.file} {text.count(fault.before)} times"
    file.write_text(text.replace(fault.before, fault.after), "utf-8")


def found(fault: Fault) -> Failure | None:
    """The test that finds a fault: of those that should, else of all."""
    for tests in (fault.tests.split(), []):
        with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
            tree = copied(Path(name))
            plant(fault, tree)
            failure = failing(tree, [*SUITE, *tests])
            if failure and not failing(copied(Path(other)), [failure.test]):
                return failure
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description="Plant faults and look for them.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="words of the names of faults; all by default")
    words = parser.parse_args().words
    chosen = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    if not chosen:
        parser.error(f"no fault is named so; these are: {'; '.join(fault.name for fault in FAULTS)}")
    unseen = 0
    for fault in chosen:
        began = time.monotonic()
        failure = found(fault)
        unseen += failure is None
        print(f"{fault.name} ({time.monotonic() - began:.0f} s): {failure or 'NOT FOUND'}", flush=True)
    print(f"{len(chosen) - unseen} of {len(chosen)} faults found")
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main())
