"""Explain recipes and tricks, as text and as data. Nothing here prints."""
