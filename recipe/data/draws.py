"""Stateless randomness: every draw is a pure function of its purpose.

A draw is a hash of (seed, stream, epoch, image, column), where a second occurrence of an image in an epoch counts as
another image. So an augmented image does not depend on worker processes, other tricks, the device, or where a run was
resumed. The hash is the finalizer of SplitMix64 (Steele, Lea and Flood 2014), applied once per part of the key.
"""

from __future__ import annotations

import functools
import zlib
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
"""An array of float64 numbers."""
Indices = npt.NDArray[np.int64]
"""An array of int64 indices or counts."""
Integers = npt.NDArray[np.uint64]


def _mixed(state: Integers, part: Any) -> Integers:
    """Return the state of the hash after one more part of the key."""
    z = (state ^ np.asarray(part).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


@functools.lru_cache(maxsize=4096)
def _begun(*key: int) -> Integers:
    """Return the state of the hash after the leading numbers of a key, which are the same for a whole epoch."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for part in key:
            state = _mixed(state, part)
    state.flags.writeable = False
    return state


def hashed(*key: Any) -> Integers:
    """Hash integers and integer arrays into one key. Arrays are broadcast."""
    numbers = next((place for place, part in enumerate(key) if isinstance(part, np.ndarray)), len(key))
    state = _begun(*key[:numbers])
    with np.errstate(over="ignore"):
        for part in key[numbers:]:
            state = _mixed(state, part)
    return state


def order(seed: int, epoch: int, samples: int) -> Indices:
    """Return the order in which an epoch visits its samples, a random permutation."""
    return np.argsort(hashed(seed, zlib.crc32(b"order"), epoch, np.arange(samples)), kind="stable")


def occurrences(order: Indices) -> Indices:
    """Return how often the image at each place of an order came before in it: int64 (N,).

    >>> occurrences(np.array([4, 7, 4, 4, 7]))
    array([0, 0, 1, 2, 1])
    """
    by_image = np.argsort(order, kind="stable")
    images = order[by_image]
    starts = np.flatnonzero(np.concatenate([[True], images[1:] != images[:-1]])) if len(images) else by_image
    counts = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    before = np.empty(len(order), np.int64)
    before[by_image] = counts
    return before


AGAIN = 1 << 40
"""What is added to the index of an image in the key of its draws, for each time that it came before in an epoch."""


@attrs.frozen
class Draws:
    """The random draws of one trick for one batch.

    Draws depend only on their purpose: a second ``uniform()`` returns the same numbers, and ``normal`` and ``beta``
    are derived from them. For independent draws, use several columns of one call, or `named`.
    """

    seed: int
    """The seed of the recipe."""
    epoch: int
    """The index of the epoch, from 0."""
    indices: Indices
    """The index in the dataset of each image of the batch: int64 (N,)."""
    step: int
    """The index of the batch, counted from 0 since the start of the training."""
    stream: str = ""
    """The purpose of the draws: the words of the trick, such as ``"augment flip"``."""
    occurrences: Indices | None = None
    """How often each image came before in the epoch: int64 (N,). None if none did. Each time has draws of its own."""

    def of(self, stream: str) -> Draws:
        """Return the draws of another trick, named by its words, for the same batch."""
        return attrs.evolve(self, stream=stream)

    def named(self, name: str) -> Draws:
        """Return draws of the same trick for another purpose, independent of its other draws."""
        own = self.stream if " " in self.stream else f"{self.stream} "  # clauses of a verb have streams, too
        return attrs.evolve(self, stream=f"{own} {name}")

    def uniform(self, columns: int = 1) -> Floats:
        """Return uniform draws from [0, 1): float64 (N, columns)."""
        images = self.indices if self.occurrences is None else self.indices + AGAIN * self.occurrences
        key = hashed(self.seed, zlib.crc32(self.stream.encode()), self.epoch, images[:, None], np.arange(columns))
        return (key >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, columns: int = 1) -> Floats:
        """Return standard normal draws by the Box–Muller transform: float64 (N, columns)."""
        u = self.uniform(2 * columns)
        return np.asarray(np.sqrt(-2 * np.log1p(-u[:, ::2])) * np.cos(2 * np.pi * u[:, 1::2]))

    def beta(self, alpha: float) -> Floats:
        """Return Beta(alpha, alpha) draws by inverting the distribution function: float64 (N,)."""
        from scipy.special import betaincinv

        return np.asarray(betaincinv(alpha, alpha, self.uniform()[:, 0]), dtype=np.float64)

    def once(self) -> float:
        """Return one uniform draw for the whole batch, the same on every device that processes a part of it."""
        return float(hashed(self.seed, zlib.crc32(self.stream.encode()), self.step) >> np.uint64(11)) * 2.0**-53
