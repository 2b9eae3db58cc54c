"""Linear algebra of models whose columns may depend on each other. Needs no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DEPENDENT = 1e-10
"""The largest singular value that counts as zero, as a part of the largest one."""


def inverse_of(model: Array) -> Array:
    """Return the pseudoinverse of a model: (N, P) to (P, N).

    Numpy's own limit is too small for models of thousands of runs, whose columns depend on each other.
    """
    return np.asarray(np.linalg.pinv(model, rcond=DEPENDENT), np.float64)
