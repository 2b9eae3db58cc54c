"""Tricks for recipe that recipe itself has not, one a file."""
