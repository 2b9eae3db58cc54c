"""``python -m recipe`` is the command ``recipe``."""

from recipe.cli import main

if __name__ == "__main__":
    main()
