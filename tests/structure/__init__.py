"""Measurements of the package: import cycles, the path of a recipe through the packages, and sizes."""
