"""The command ``recipe``, also as ``python -m recipe``."""

import sys
from collections.abc import Callable

from recipe.base.signals import Terminated, terminate


def main() -> None:
    """Run the command line in a process of its own, and end the process."""
    terminate()
    leave: Callable[[int], object] = sys.exit  # until the real one is imported
    try:
        from recipe.base.process import leave, open_streams

        open_streams()
        from recipe.cli import main as run

        run()
    except Terminated as end:  # a signal while the command line is being imported ends it as one later on does
        status: object = 128 + end.number
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code
    leave(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
