"""What every other package stands on: diagnostics and their rendering, words for people, sources, files, signals.

Nothing here knows what a recipe, a trick or a model is. It imports nothing of the rest, and no torch.
"""
