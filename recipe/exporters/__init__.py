"""Export formats for the model of a run, one per file, found through entry points.

This package is not called `export` because a module of that name would shadow the function `recipe.export`.
"""
