"""A run's model in other forms, one a file, found through entry points; each needs nothing of this package.

The package is not called `export`, as a module of that name would hide the function `recipe.export`.
"""
