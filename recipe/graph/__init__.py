"""Graphs: how a model is traced, what a trick sees of it, how edits are applied, and what it costs."""
