"""Export formats: their declaration, and the installed ones. Doesn't import torch.

All formats, including the built-in ones, register through entry points in the group ``recipe.formats``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from recipe.plugins.offers import Offer, Offers

if TYPE_CHECKING:
    from torch import Tensor

    from recipe.exporters.source_run import SourceRun

GROUP = "recipe.formats"


@attrs.frozen
class Format(Offer):
    """A form in which others can use a run's model. See docs/guides/write-a-format.md."""

    suffix: str
    """The suffix of the file to write, with its dot: ``.onnx``."""
    help: str
    """One line about the files."""
    write: Callable[[SourceRun, Path], Tensor | str]
    """A function of a run and a path in an empty folder. It writes that file, optionally more next to it, and
    returns the export's logits (N, K) for ``run.images`` (N, 3, H, W), or the reason why they can't be computed
    here."""
    deploy: Callable[[SourceRun, Path], tuple[Tensor, Tensor] | str] | None = attrs.field(default=None, kw_only=True)
    """A function like ``write`` for ``--deploy``, or None. Its export takes pixels of any size. It returns the inputs
    (M, 3, H, W) of the network and the probabilities (M, K) that the export makes of the images in all batches of
    ``run.pixels``, or the reason why they can't be computed here."""


OFFERS = Offers(GROUP, Format, "format", "E121")

find = OFFERS.find
"""Return a format by name. Raises `RecipeError` if it is unknown (E121) or can't be used (E080, E081)."""

installed = OFFERS.installed
"""Return the usable formats by name, and an error for each of the others."""
