"""Close generators before Python exits, while the modules that they use still have their contents."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T", bound=Generator[Any, Any, Any])


def closed_at_exit(generator: T) -> T:
    """Return a generator that is closed when Python exits, if it is still in use then."""

    def close() -> None:
        if (used := in_use()) is not None:
            used.close()

    def forget(_: Any, unregister: Callable[[Any], None] = atexit.unregister) -> None:
        unregister(close)

    in_use = weakref.ref(generator, forget)
    atexit.register(close)
    return generator
