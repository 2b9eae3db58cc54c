"""Compile a plan to a program: build the stock model, let tricks rewrite it, verify, measure and summarize it.

Nothing in this package trains or opens images.
"""
