"""What is explained of a recipe or a trick, as text and as data. Nothing here prints."""
