"""Which tricks matter: many runs of variants of a recipe, and a table of the results (`recipe.ablate`, in `study`)."""
