"""Networks as torch.fx graphs: trace them, find sites, apply edits, and measure shapes and costs.

This package depends on no trick. Tricks and `recipe.compiler` decide which edits to make.
"""
