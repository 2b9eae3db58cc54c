"""Confidence for several estimates together: the distribution of the largest absolute t. Needs no torch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

POINTS = 2**16
"""How many points approximate the distribution, which leaves an error below 0.001 in the confidence."""

NODES = 1_024
"""At how many quantiles of the estimate of the noise it is averaged."""


def level_of_each(confidence: float, correlation: Array, freedom: int) -> float:
    """Return the confidence that each of K intervals needs, so that all hold together with some confidence.

    The K estimates have a multivariate t distribution (Hothorn, Bretz and Westfall 2008, "Simultaneous inference in
    general parametric models"). Correlated estimates need less than independent ones do.

    Args:
        confidence: The confidence of all intervals together.
        correlation: (K, K).
        freedom: The degrees of freedom of the estimate of the noise.
    """
    size = len(correlation)
    return confidence if size < 2 else _level(confidence, np.round(correlation, 6).tobytes(), size, freedom)


@lru_cache(256)
def _level(confidence: float, correlation: bytes, size: int, freedom: int) -> float:
    from scipy.special import chdtri, stdtr

    largest = _largest(correlation, size)
    scales = np.sqrt(chdtri(freedom, (np.arange(NODES) + 0.5) / NODES) / freedom)  # quantiles of the noise's estimate
    low, high = 0.0, 1e6
    for _ in range(60):
        middle = (low + high) / 2
        held = np.searchsorted(largest, middle * scales).mean() / len(largest)
        low, high = (middle, high) if held < confidence else (low, middle)
    return float(2 * stdtr(freedom, high) - 1)


@lru_cache(8)
def _largest(correlation: bytes, size: int) -> Array:
    """Return a sorted sample of the largest absolute value of K normal variables."""
    values, vectors = np.linalg.eigh(np.frombuffer(correlation).reshape(size, size))
    normal = _independent(size) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    return np.sort(np.abs(normal, out=normal).max(1))


@lru_cache(2)
def _independent(size: int) -> Array:
    """Return a sample of K independent normal variables."""
    from scipy import special, stats

    uniform = stats.qmc.Sobol(size, seed=0).random(POINTS)
    return np.asarray(special.ndtri(np.clip(uniform, 1e-12, 1 - 1e-12)), np.float64)
