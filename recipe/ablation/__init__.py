"""Ablations: a recipe with tricks added, taken out, or stacked, each over several seeds, and the table of them."""
