"""The command ``recipe``, also as ``python -m recipe``."""

import sys


def main() -> None:
    """Run the command line; an interrupt while it is still being imported ends it as one later on does."""
    try:
        from recipe.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
