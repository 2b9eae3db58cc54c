"""Stateless randomness: every draw is a pure function of what it is for.

A draw is a hash of (seed, stream, epoch, image, column), so what an image looks like does not depend on worker
processes, on other tricks, on the device, or on where a training was resumed. The hash is the finaliser of SplitMix64
(Steele, Lea and Flood 2014), applied once for each part of the key.
"""

from __future__ import annotations

import functools
import zlib
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.uint64]


def _mixed(state: Integers, part: Any) -> Integers:
    """The next state of the hash after one part of its key."""
    z = (state ^ np.asarray(part).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


@functools.lru_cache(maxsize=4096)
def _begun(*key: int) -> Integers:
    """The state of the hash after the parts of a key that are numbers; it is the same for all batches of an epoch."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for part in key:
            state = _mixed(state, part)
    state.flags.writeable = False
    return state


def hashed(*key: Any) -> Integers:
    """The hash of a key of integers and integer arrays, which broadcast."""
    numbers = next((place for place, part in enumerate(key) if isinstance(part, np.ndarray)), len(key))
    state = _begun(*key[:numbers])
    with np.errstate(over="ignore"):
        for part in key[numbers:]:
            state = _mixed(state, part)
    return state


def order(seed: int, epoch: int, samples: int) -> npt.NDArray[np.int64]:
    """The order in which an epoch visits its samples: a random permutation."""
    return np.argsort(hashed(seed, zlib.crc32(b"order"), epoch, np.arange(samples)), kind="stable")


@attrs.frozen
class Draws:
    """The random draws of one trick for one batch. ``indices`` are the images' numbers in their data set.

    They follow from their purpose alone: a second ``uniform()`` gives the same numbers, and ``normal`` and ``beta`` are
    made of them. What is to be independent takes columns of one call, or draws of `named`.
    """

    seed: int
    epoch: int
    indices: npt.NDArray[np.int64]
    step: int
    stream: str = ""

    def of(self, stream: str) -> Draws:
        """The draws of another trick for the same batch, by its words."""
        return Draws(self.seed, self.epoch, self.indices, self.step, stream)

    def named(self, name: str) -> Draws:
        """The draws of the same trick for a purpose of its own, independent of its others."""
        own = self.stream if " " in self.stream else f"{self.stream} "  # the clauses of a verb have streams as well
        return attrs.evolve(self, stream=f"{own} {name}")

    def uniform(self, columns: int = 1) -> Floats:
        """Uniform in [0, 1): (N, columns) float64."""
        key = hashed(self.seed, zlib.crc32(self.stream.encode()), self.epoch, self.indices[:, None], np.arange(columns))
        return (key >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, columns: int = 1) -> Floats:
        """Standard normal, by Box and Muller: (N, columns) float64."""
        u = self.uniform(2 * columns)
        return np.asarray(np.sqrt(-2 * np.log1p(-u[:, ::2])) * np.cos(2 * np.pi * u[:, 1::2]))

    def beta(self, alpha: float) -> Floats:
        """Beta(alpha, alpha), by the inverse of its distribution function: (N,) float64."""
        from scipy.special import betaincinv

        return np.asarray(betaincinv(alpha, alpha, self.uniform()[:, 0]), dtype=np.float64)

    def once(self) -> float:
        """One uniform draw for the whole batch, the same on every device that holds a part of it."""
        return float(hashed(self.seed, zlib.crc32(self.stream.encode()), self.step) >> np.uint64(11)) * 2.0**-53
