"""The runs of an ablation: where they are, what they depend on, and how they are trained."""
