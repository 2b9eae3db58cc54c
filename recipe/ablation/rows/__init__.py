"""The rows of an ablation: which tricks each has, in each mode."""
