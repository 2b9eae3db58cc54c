"""The language as syntax: from text to statements, and back to text. The grammar is in `recipe.grammar`.

What a word means is none of its business: that is given in `recipe.plan`, from what `recipe.plugins` knows.
"""
