"""The lines of `metrics.jsonl` as they are written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from recipe.base import files
from recipe.runs.reader import LONGEST, line_of

NAME = "metrics.jsonl"


class Tail:
    """Reads the new lines of a run's metrics. A line that can't be read is left out, as everywhere else."""

    def __init__(self, folder: Path) -> None:
        self.path, self.offset = folder / NAME, 0
        self._file: tuple[int, int] | None = None

    def replaced(self) -> bool:
        """Whether the file is another one than before, or shorter: a training was resumed from an earlier step.

        All of its lines are then read again.
        """
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        before, self._file = self._file, (status.st_dev, status.st_ino)
        if before is None or (before == self._file and status.st_size >= self.offset):
            return False
        self.offset = 0
        return True

    def fresh(self) -> list[dict[str, Any]]:
        """Return the complete lines since the last call."""
        lines = []
        try:
            with files.opened(self.path) as file:
                file.seek(self.offset)
                while text := file.readline(LONGEST):
                    if not text.endswith(b"\n") and len(text) < LONGEST:  # it is being written
                        break
                    self.offset += len(text)
                    if (line := line_of(text)) is not None:
                        lines.append(line)
        except OSError:  # there is none yet
            pass
        return lines
