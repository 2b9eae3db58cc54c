"""Ablations: train variants of a recipe under several seeds and compare the results (`recipe.ablate`, in `study`)."""
