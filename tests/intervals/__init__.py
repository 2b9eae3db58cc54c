"""How often the intervals of an ablation hold, and how many runs each mode needs, in simulated tables."""
