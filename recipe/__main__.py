"""The command ``recipe``, also as ``python -m recipe``."""

import signal
import sys
from types import FrameType

from recipe.base.signals import Terminated, ignore


def main() -> None:
    """Run the command line; a signal while it is still being imported ends it as one later on does."""
    signal.signal(signal.SIGTERM, _end)
    try:
        from recipe.cli import main as run
    except Terminated:
        sys.exit(143)
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        run()
    finally:  # while Python takes itself apart, a signal would end it as it ends a program that knows none
        ignore()


def _end(number: int, frame: FrameType | None) -> None:
    raise Terminated


if __name__ == "__main__":
    main()
