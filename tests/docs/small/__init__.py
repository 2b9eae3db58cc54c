"""A smaller dataset of digits, so that the commands of the documentation run in seconds exactly as they are written."""
