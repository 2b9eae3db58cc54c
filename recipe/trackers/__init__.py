"""Experiment trackers, one per file. They read a run folder from a process of their own."""
