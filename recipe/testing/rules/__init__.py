"""The rules that the checks make of a trick, each a function that is named as its check."""
