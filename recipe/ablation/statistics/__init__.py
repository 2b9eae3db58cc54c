"""Differences between rows and effects of tricks, with their uncertainty: numbers in, numbers out."""
