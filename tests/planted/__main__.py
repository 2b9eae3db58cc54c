"""Plant faults in a copy of the code, one at a time, and report which tests find them: python -m tests.planted [WORD …]

Run it from the root of a clone; each fault takes about a minute. A WORD selects the faults whose names contain it. For
each fault, a line shows the first test that found it, and its message. A test that also fails without the fault does
not count. The exit code is 1 if a fault was not found.
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
    """The name of a failed test, and the first line of its message."""

    test: str
    said: str

    def __str__(self) -> str:
        return f"{self.test}: {self.said[:120]}"


def failing(tree: Path, words: Sequence[str]) -> Failure | None:
    """Return the first test that fails in a folder. Raises `RuntimeError` if the tests can't run."""
    samples = {"RECIPE_TEST_SEED": str(SEED), "RECIPE_TEST_MORE": "4"}  # of most tests, all cases instead of a sample
    environment = {**os.environ, "PYTHONPATH": str(tree), **samples}
    done = subprocess.run([*PYTEST, *words], cwd=tree, env=environment, capture_output=True, text=True)
    names = re.findall(r"^FAILED (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode and not names:
        raise RuntimeError((done.stdout + done.stderr).strip().splitlines()[-1])
    said = re.search(r"^E +(.+)$", done.stdout, re.MULTILINE)
    return Failure(names[0], said[1] if said else "") if names else None


def copied(folder: Path) -> Path:
    """Copy the code into a folder."""
    by_name = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "__pycache__")

    def ignored(directory: str, names: list[str]) -> set[str]:
        return by_name(directory, names) | ({"runs"} if Path(directory) == ROOT else set())

    return Path(shutil.copytree(ROOT, folder / "tree", ignore=ignored, symlinks=True))


def plant(fault: Fault, tree: Path) -> None:
    file = tree / fault.file
    text = file.read_text("utf-8")
    assert text.count(fault.before) == 1, (
        f"{fault.name}: the text to replace occurs {text.count(fault.before)} times in {fault.file}"
    )
    file.write_text(text.replace(fault.before, fault.after), "utf-8")


def found(fault: Fault) -> Failure | None:
    """Return a test that finds a fault; run the expected ones first, then all."""
    for tests in (fault.tests.split(), []):
        with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
            tree = copied(Path(name))
            plant(fault, tree)
            failure = failing(tree, [*SUITE, *tests])
            if failure and not failing(copied(Path(other)), [failure.test]):
                return failure
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.planted", description="Plant faults and check that tests find them."
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="select faults by words in their names (default: all)")
    words = parser.parse_args().words
    chosen = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    if not chosen:
        parser.error(f"no fault matches; the faults are: {'; '.join(fault.name for fault in FAULTS)}")
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
