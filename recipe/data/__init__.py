"""Datasets, decoding, cropping, and random draws that depend only on seed, epoch and image.

Tricks such as `data folder` provide the images. `recipe.training.loading` turns them into batches.
"""
