"""From a plan to a program: the stock model, rewritten by tricks, verified and measured, and a summary of it.

Nothing here trains, and nothing here opens images.
"""
