"""SIGINT and SIGTERM: the first asks a training to save and stop, a second ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """A training that stopped on a signal, its checkpoint saved."""

    def __init__(self, number: int, folder: Path, step: int) -> None:
        self.number, self.folder, self.step = number, folder, step
        super().__init__(f"stopped at step {step} by {signal.Signals(number).name}; go on with --resume --out {folder}")


class Signals:
    """A context in which the two signals are noted, not obeyed; ``received`` is the number of the one that came."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + number)
        self.received = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
