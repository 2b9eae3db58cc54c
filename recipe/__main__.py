"""The command ``recipe``, also as ``python -m recipe``."""

import signal
import sys
from collections.abc import Callable
from types import FrameType

from recipe.base.signals import Terminated


def main() -> None:
    """Run the command line in a process of its own, and end the process."""
    signal.signal(signal.SIGTERM, _end)
    leave: Callable[[int], object] = sys.exit  # until the real one is imported
    try:
        from recipe.base.process import leave, open_streams

        open_streams()
        from recipe.cli import main as run

        run()
    except Terminated:  # a signal while the command line is being imported ends it as one later on does
        status: object = 143
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code
    leave(status if isinstance(status, int) else 0)


def _end(number: int, frame: FrameType | None) -> None:
    raise Terminated


if __name__ == "__main__":
    main()
