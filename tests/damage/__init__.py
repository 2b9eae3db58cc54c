"""Damage to everything that is read back: the files of runs, ablations and the cache."""
