"""Everything that trains: the loop, the trainer, the update, batches, teachers, and what is reported meanwhile.

What a run leaves behind is in `recipe.runs`; what tricks do at each step comes from their hooks.
"""
