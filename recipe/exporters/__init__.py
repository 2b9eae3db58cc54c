"""A run's model in other forms, one a file; each needs nothing of this package. `recipe.export` is in `api`.

The package is not called `export`, as a module of that name would hide the function `recipe.export`.
"""
