"""Single cases: a damaged copy of a folder, what reads it, and what must not have changed elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import attrs

from tests.damage.kinds import OF_FILES, OF_FOLDERS, remove
from tests.damage.readers import READERS, Reader, wrong
from tests.helpers import ROOT, Outcome, command

PATIENCE = 120
"""Seconds that a command may take. The slowest one takes about ten on a busy machine."""


@attrs.frozen
class Case:
    """A reader, the file or folder that is damaged, and how."""

    number: int
    reader: str
    path: str
    kind: str

    def __str__(self) -> str:
        return f"case {self.number}: {self.reader}, `{self.path}`, {self.kind}"


class TooLong(BaseException):
    """A command takes longer than `PATIENCE`, such as one that waits for a pipe."""


class Bench:
    """A folder with the sound folders, a place for copies, and files elsewhere that no command may change."""

    def __init__(self, root: Path) -> None:
        self.root, self.place, self.elsewhere = root, root / "place", root / "elsewhere"
        for folder in (self.elsewhere / "folder", self.place):
            folder.mkdir(parents=True)
        for name in ("file", "folder/file", "folder/step-000000001.pt", "folder/0123456789abcdef.json"):
            (self.elsewhere / name).write_text("precious")
        for name in ("finished", "stopped", "ablation"):  # nobody may write to the sound ones either
            shutil.copytree(root / name, self.elsewhere / name)
        self.before = tree(self.elsewhere)
        self.expected = {name: self._undamaged(reader) for name, reader in READERS.items()}

    def draw(self, seed: int, number: int, of: str | None = None) -> Case:
        """Return case ``number``. ``of`` limits the copies to one folder, such as ``"cache"``."""
        random = Random(f"{seed}/{number}")
        name = random.choice([name for name, reader in READERS.items() if of in (None, reader.folder)])
        folder, reads = self.root / READERS[name].folder, READERS[name].reads
        paths = sorted(folder.rglob("*"))
        if reads and random.random() < 0.9:
            paths = [path for path in paths if path.name in reads]
        path = random.choice(paths)
        kinds = OF_FOLDERS if path.is_dir() else OF_FILES
        return Case(number, name, path.relative_to(folder).as_posix(), random.choice(list(kinds)))

    def wrong(self, seed: int, case: Case, in_process: bool = True) -> str:
        """Return what is wrong after a case, or an empty string."""
        reader, random = READERS[case.reader], Random(f"{seed}/{case.number}/damage")
        copy = self._copy(reader)
        path = copy / case.path
        kinds = OF_FOLDERS if path.is_dir() else OF_FILES
        kinds[case.kind](path, random, self.elsewhere)
        try:
            done = self._done(reader, copy) if in_process else self._run(reader, copy)
            said = wrong(reader, path.name, copy, done, self.expected[case.reader])
        except (TooLong, subprocess.TimeoutExpired):
            said = f"it takes longer than {PATIENCE} seconds"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        now, before = tree(self.elsewhere), self.before
        changed = sorted(name for name in now | before if now.get(name) != before.get(name))
        self.before = now
        return said or (f"changed elsewhere: {changed}" if changed else "")

    def _copy(self, reader: Reader) -> Path:
        for left in self.place.iterdir():
            remove(left)
        shutil.copytree(self.root / reader.folder, self.place / "copy", symlinks=True)
        return self.place / "copy"

    def _undamaged(self, reader: Reader) -> Any:
        copy = self._copy(reader)
        done = self._done(reader, copy)
        assert done.status in (0, 1), done.stderr
        return reader.result(copy, done)

    def _cache(self, reader: Reader, copy: Path) -> Path:
        return copy if reader.folder == "cache" else self.root / "cache of others"

    def _done(self, reader: Reader, copy: Path) -> Outcome:
        """Run a reader in this process."""
        os.environ["RECIPE_CACHE"] = str(self._cache(reader, copy))
        with at_most(PATIENCE):
            return command(*reader.command(copy, self.elsewhere / "finished"))

    def _run(self, reader: Reader, copy: Path) -> Outcome:
        """Run a reader as a command."""
        environment = {
            **os.environ,
            "RECIPE_CACHE": str(self._cache(reader, copy)),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        words = [sys.executable, "-m", "recipe", *reader.command(copy, self.elsewhere / "finished")]
        done = subprocess.run(
            words, cwd=self.place, env=environment, capture_output=True, text=True, errors="replace", timeout=PATIENCE
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `TooLong` in the main thread after some seconds."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tree(folder: Path) -> dict[str, bytes | str]:
    """Return everything in a folder: the bytes of files, the targets of links, and the names of folders."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else "a folder"
    return found
