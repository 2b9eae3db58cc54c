"""Networks as torch.fx graphs: tracing, finding places, applying edits, shapes and costs. It knows no trick.

Which edits are made, and why, is decided by tricks and by `recipe.compiler`.
"""
