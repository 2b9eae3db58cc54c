"""Which tricks matter: many runs of variants of a recipe, and the table of their results. `recipe.ablate` is in
`api`."""
