"""The syntax of the language: parse text into statements and write it back. The grammar is in `recipe.grammar`.

This package does not interpret words. `recipe.plan` does, with the vocabulary from `recipe.plugins`.
"""
