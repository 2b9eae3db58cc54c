"""Foundations for all other packages: diagnostics and their rendering, wording, sources, files, signals.

Nothing here depends on recipes, tricks or models. This package imports no other `recipe` package and no torch.
"""
