"""The structure of the package, measured: circles of imports, the way of a recipe through the rooms, and sizes."""
