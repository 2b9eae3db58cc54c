"""The grammar of the recipe language (``recipe.lark``), as packaged data."""

if __name__ == "grammar":
    raise ImportError("import `recipe.grammar`; the folder `grammar` is not a package of its own")
