"""The command ``recipe``, also as ``python -m recipe``."""

import signal
import sys


def main() -> None:
    """Run the command line; a signal while it is still being imported ends it as one later on does."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        from recipe.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        run()
    finally:  # while Python takes itself apart, a signal would end it as it ends a program that knows none
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    main()
