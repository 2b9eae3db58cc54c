"""More tricks for recipe, one per file."""
