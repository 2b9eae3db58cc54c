"""The built-in tricks, one per file. Like plugins, they register through entry points in ``pyproject.toml``."""

if __name__ == "tricks":
    raise ImportError("`tricks` can't be imported directly; import `recipe.tricks` instead")
