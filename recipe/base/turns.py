"""Let one thread at a time use what belongs to the whole process: its streams, torch's random numbers and settings."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

_lock = threading.RLock()


def turn() -> contextlib.AbstractContextManager[Any]:
    """Return the context in which a thread has its turn; others wait for theirs. A thread can enter it repeatedly."""
    return _lock


def _renew() -> None:
    """Let a forked process take its turn even if another thread had it, which the process does not have."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
