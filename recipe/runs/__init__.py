"""The run folder: what it contains, and how to read and write it. Nothing in this package trains."""
