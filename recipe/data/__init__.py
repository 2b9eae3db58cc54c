"""Images: sets of them, decoding, cropping, and random draws that depend on seed, epoch and image alone.

Where images come from is a trick (`data folder`); how they become batches is `recipe.training.loading`.
"""
