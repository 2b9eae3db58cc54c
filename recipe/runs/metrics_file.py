"""`metrics.jsonl` while a run is training: one line at a time, in a folder that this process still holds."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from recipe.base import files
from recipe.base.caller import option
from recipe.base.errors import fail
from recipe.base.wording import system_reason
from recipe.runs import exclusive


class MetricsFile:
    """The open file. All methods raise `RecipeError` (E111) if it can't be written or its folder was replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._writing():
            self.file: IO[bytes] = files.opened_to_append(folder / "metrics.jsonl")

    def append(self, line: Mapping[str, Any]) -> None:
        with self._writing():
            text = json.dumps(line).encode() + b"\n"
            if os.write(self.file.fileno(), text) < len(text):  # nothing is buffered, to be written again on closing
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Return once all lines are on disk."""
        with self._writing():
            os.fsync(self.file.fileno())

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # it was reported when the line was written
            self.file.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        exclusive.check(self.folder)
        try:
            yield
        except OSError as error:
            help = f"free some disk space, then resume from the last checkpoint with {option('--resume')}"
            message = f"`{self.folder / 'metrics.jsonl'}` can't be written: {system_reason(error)}"
            raise fail("E111", message, help=help) from None
