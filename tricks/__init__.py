"""The built-in tricks, one a file. They register through the entry points in ``pyproject.toml``, as plugins do."""

if __name__ == "tricks":
    raise ImportError("import `recipe.tricks`; the folder `tricks` is not a package of its own")
