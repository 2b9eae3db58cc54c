"""Training: the loop, the trainer, the update, batches, teachers and progress reports.

`recipe.runs` handles the files of a run. Tricks take part in each step through their hooks.
"""
