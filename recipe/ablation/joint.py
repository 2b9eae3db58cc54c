"""Confidence for several estimates together: the distribution of the largest absolute t. Needs no torch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

POINTS = 2**15
"""How many points approximate the distribution, which leaves an error of about 0.0005 in the confidence."""


def level_of_each(confidence: float, correlation: npt.NDArray[np.float64], freedom: int) -> float:
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
    from scipy import special

    largest = _largest(correlation, size, freedom)
    return float(2 * special.stdtr(freedom, np.quantile(largest, confidence)) - 1)


@lru_cache(32)
def _largest(correlation: bytes, size: int, freedom: int) -> npt.NDArray[np.float64]:
    """Return a sample of the largest absolute value of K variables with a multivariate t distribution."""
    from scipy import special, stats

    sampler = stats.qmc.Sobol(size + 1, seed=0)
    uniform = np.clip(sampler.random(POINTS), 1e-12, 1 - 1e-12)
    values, vectors = np.linalg.eigh(np.frombuffer(correlation).reshape(size, size))
    normal = special.ndtri(uniform[:, 1:]) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    chi_squared = special.chdtri(freedom, uniform[:, 0])
    found: npt.NDArray[np.float64] = np.abs(normal).max(1) / np.sqrt(chi_squared / freedom)
    return found
