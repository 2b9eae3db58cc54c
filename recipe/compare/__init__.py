"""The difference between two recipes: as data (`model`), as text, and as a page. `recipe.diff` is in `api`."""
