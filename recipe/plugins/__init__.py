"""Tricks: their fields, hooks and slots, how they are found, and how their code is called. Works without torch.

The tricks themselves are in `recipe.tricks`. `recipe.plan` combines them.
"""
