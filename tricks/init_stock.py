"""init stock: the initialization of the model's own constructor, as in torchvision's reference script."""

from __future__ import annotations

from recipe.api import Trick, trick


@trick("init stock", position=30, writes=("init",))
class Stock(Trick):
    """Keep the weights that the model's constructor initialized."""
