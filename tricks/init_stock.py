"""init stock: the initialisation that the model's own constructor makes, as torchvision's reference script has it."""

from __future__ import annotations

from recipe.api import Trick, trick


@trick("init stock", position=30, writes=("init",))
class Stock(Trick):
    """Leave the weights as the model's constructor drew them."""
