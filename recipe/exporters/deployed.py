"""Compare a deployed export, which takes pixels, with the run's own evaluation of images of several sizes."""

from __future__ import annotations

import attrs
import numpy as np
import torch
from torch import Tensor

from recipe.base.errors import RecipeError, fail
from recipe.data.decode import Pixels
from recipe.exporters.source_run import SourceRun
from recipe.inference.given import pictures
from recipe.inference.trained import normalized
from recipe.runs.provenance import Preprocessing

SHADES = 1
"""The largest allowed difference of a channel of an input from the run's, in shades of 0 to 255."""

TOLERANCE = 1e-4
"""The largest allowed difference of a probability from that of the run's own model for the same input."""

TIE = 0.01
"""If inputs differ, a top label may be another one, to which the run gives a probability that is this much less."""


@attrs.frozen
class Agreement:
    """How close a deployed export is to the run's own evaluation of the same images."""

    shades: float
    """The largest difference of a channel of an input, in shades of 0 to 255."""
    differing: float
    """The share of the channels of inputs that differ."""
    probability: float
    """The largest difference of a probability."""
    other_labels: int
    """The number of images with another top label, to which the run gives nearly the same probability."""


def compared(run: SourceRun, inputs: Tensor, probabilities: Tensor, to: str) -> Agreement:
    """Compare inputs (M, C, size, size) and probabilities (M, K) for `SourceRun.pixels` with those of the run.

    Raises `RecipeError` (E122) if they differ by more than is allowed.
    """
    own_inputs = torch.cat([evaluated(batch, run.preprocessing) for batch in run.pixels])
    wanted = (own_inputs.shape, (len(own_inputs), run.program.classes))
    if (inputs.shape, probabilities.shape) != wanted:
        shapes = f"{(*inputs.shape,)} and {(*probabilities.shape,)}"
        raise _mismatch(f"the inputs and probabilities of the export to {to} are of the shapes {shapes}")
    with torch.inference_mode():
        own, same = (run.model(images).softmax(1) for images in (own_inputs, inputs))
    std = torch.tensor(run.preprocessing.std).view(-1, 1, 1)
    off = (inputs - own_inputs).abs() * std * 255
    shades = float(off.max())
    if not shades <= SHADES + 0.01:  # also true for NaN
        raise _mismatch(f"the inputs that the export to {to} makes of images are off by {shades:.3g} of 255 shades")
    if not (most := float((probabilities - same).abs().max())) <= TOLERANCE:
        raise _mismatch(f"the probabilities of the export to {to} are off by {most:.1e} for the same inputs")
    tops = probabilities.argmax(1)
    behind = own.amax(1) - own.gather(1, tops[:, None])[:, 0]
    if not float(behind.max()) <= (TIE if shades > 0.01 else TOLERANCE):
        raise _mismatch(f"the top label of the export to {to} differs, since inputs are off by {shades:.3g} shades")
    others = int((tops != own.argmax(1)).sum())
    return Agreement(shades, float((off > 0.01).float().mean()), float((probabilities - own).abs().max()), others)


def evaluated(pixels: Pixels, preprocessing: Preprocessing) -> Tensor:
    """Return the inputs (N, C, size, size) that the run's evaluation makes of images with these pixels (N, H, W, 3)."""
    return normalized(pictures(pixels, preprocessing).fetch(np.arange(len(pixels)), None), preprocessing)


def _mismatch(message: str) -> RecipeError:
    return fail("E122", message, help="leave out --deploy to export the network alone; nothing was written")
