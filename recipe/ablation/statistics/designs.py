"""Screening designs: a few combinations of tricks from which the effect of each trick follows. Needs no torch.

A trick's effect is the mean of the rows with it minus the mean of those without it, averaged over the other tricks on
and off. A Hadamard matrix has columns that are balanced and orthogonal to each other (Plackett and Burman 1946, "The
design of optimum multifactorial experiments"), so each effect uses all runs. With its negative below it, a fold-over,
no effect includes an interaction of two tricks (Box and Wilson 1951, "On the experimental attainment of optimum
conditions").
"""

from __future__ import annotations

import itertools
from functools import cached_property

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.statistics.linear import inverse_of

Array = npt.NDArray[np.float64]
Levels = npt.NDArray[np.bool_]
Pair = tuple[int, int]

ZERO = 1e-6
"""What counts as zero in a matrix of levels between -1 and 1."""


@attrs.frozen(eq=False)
class Group:
    """Interactions of two tricks that can't be told apart."""

    pairs: tuple[Pair, ...]
    factors: tuple[float, ...]
    """What an interaction of each pair adds to the contrast. It is 1 for the first."""
    weights: Array
    """The contrast of the rows that estimates the interaction of the first pair, if the others have none: (N,)."""

    def led_by(self, at: int) -> Group:
        """Return the group with one of its pairs first."""
        order = [at, *(other for other in range(len(self.pairs)) if other != at)]
        factors = tuple(self.factors[each] / self.factors[at] for each in order)
        return Group(tuple(self.pairs[each] for each in order), factors, self.weights / self.factors[at])


@attrs.frozen(eq=False)
class Design:
    """N combinations of K tricks."""

    levels: Levels
    """Which tricks are on in each combination: (N, K)."""
    resolution: int
    """3 if effects may include interactions of two tricks, 4 if not. Replaced combinations can add some."""
    name: str
    """The kind of design, in words."""
    size: int
    """The number of combinations of the orthogonal design that this one comes from."""

    @cached_property
    def model(self) -> Array:
        """The model of main effects: a constant, and 0 or 1 for each trick, (N, K + 1)."""
        return np.column_stack([np.ones(len(self.levels)), self.levels.astype(float)])

    @cached_property
    def contrasts(self) -> Array:
        """The weights of the rows in the effect of each trick: (K, N). NaN for one that the rows don't determine."""
        return weights_of(np.eye(self.model.shape[1])[1:], self.model)

    @cached_property
    def averages(self) -> Array:
        """The weights of the rows in the mean without each trick and with it, averaged over the other tricks on and
        off: (2, K, N). NaN for one that the rows don't determine."""
        count = self.levels.shape[1]
        others = np.hstack([np.ones((count, 1)), (1 - np.eye(count)) / 2])
        having = np.hstack([np.zeros((count, 1)), np.eye(count)])
        return np.array([weights_of(others, self.model), weights_of(others + having, self.model)])

    def means(self, pair: Pair) -> Array:
        """Return the weights of the rows in the means of two tricks, averaged over the other tricks on and off.

        The model has the interaction of the two besides the effects of tricks. The means are those with neither, with
        the first, with the second, and with both: (4, N). NaN for one that the rows don't determine.
        """
        wanted = np.full((4, self.levels.shape[1] + 2), 0.5)
        wanted[:, 0], wanted[:, pair[0] + 1], wanted[:, pair[1] + 1] = 1, (0, 1, 0, 1), (0, 0, 1, 1)
        wanted[:, -1] = (0.25, -0.25, -0.25, 0.25)
        column = self.interactions(self.levels)[:, [self.pairs.index(pair)]]
        return weights_of(wanted, np.hstack([self.model, column]))

    @cached_property
    def undetermined(self) -> list[int]:
        """The tricks whose effects the rows don't determine."""
        if not len(self.levels):
            return [*range(self.levels.shape[1])]
        found: list[int] = np.flatnonzero(np.isnan(self.contrasts).any(1)).tolist()
        return found

    @property
    def pairs(self) -> list[Pair]:
        return list(itertools.combinations(range(self.levels.shape[1]), 2))

    @cached_property
    def aliases(self) -> Array:
        """How much of the interaction of each pair is in the effect of each trick: (K, pairs).

        This is the alias matrix (X'X)⁻¹X'X₂ with levels of -1 and 1. It is NaN for effects that aren't determined.
        """
        found: Array = 2 * self.contrasts @ self.interactions(self.levels)
        return np.where(np.abs(found) < ZERO, 0, found)

    def interactions(self, levels: Levels) -> Array:
        """Return the column of each pair in the model of interactions for some combinations: (N, pairs).

        Its coefficient is how much more a trick changes the result with the other one than without it.
        """
        signs = np.where(levels, 1.0, -1.0)
        columns = [signs[:, a] * signs[:, b] / 4 for a, b in self.pairs]
        return np.array(columns).reshape(len(columns), len(levels)).T

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The interactions of two tricks, grouped. Those that effects of tricks already explain are left out."""
        columns = self.interactions(self.levels)
        rest = (columns - self.model @ inverse_of(self.model) @ columns).T
        groups: list[tuple[Array, list[Pair], list[float]]] = []
        for pair, column in zip(self.pairs, rest, strict=True):
            length = np.linalg.norm(column)
            if length < ZERO:
                continue
            for first, pairs, factors in groups:
                share = float(column @ first / (first @ first))
                if np.linalg.norm(column - share * first) < ZERO * length:
                    pairs.append(pair)
                    factors.append(share)
                    break
            else:
                groups.append((column, [pair], [1.0]))
        return tuple(Group(tuple(pairs), tuple(parts), first / (first @ first)) for first, pairs, parts in groups)

    def kept(self, known: Levels) -> Design:
        """Return the design with only some of its rows: (N,)."""
        return attrs.evolve(self, levels=self.levels[known])


def screening(tricks: int, resolution: int = 4) -> Design:
    """Return the smallest design for K ≥ 2 tricks whose columns are balanced and orthogonal.

    The first combination has no trick.

    Args:
        tricks: K.
        resolution: 3 for a Plackett-Burman design, with at least K + 1 rows, or 4 for its fold-over, with at least 2K.

    >>> len(screening(8).levels), len(screening(8, resolution=3).levels)
    (16, 12)
    """
    if resolution == 3:
        found, kind = -_hadamard(max(tricks + 1, 4))[:, 1 : tricks + 1], "Plackett-Burman design"
    else:
        half = _hadamard(tricks)[:, :tricks]
        found, kind = np.vstack([-half, half]), "folded-over Plackett-Burman design"
    name = f"{kind} of {len(found)} combinations, resolution {resolution}"
    return Design(found > 0, resolution, name, len(found))


def weights_of(wanted: Array, model: Array) -> Array:
    """Return the weights of N rows in sums of coefficients of a linear model: (W, N).

    Args:
        wanted: The coefficients: (W, P).
        model: The model of the rows: (N, P).

    Returns:
        The weights of least squares, NaN for a sum that the rows don't determine.
    """
    weights: Array = wanted @ inverse_of(model)
    weights[~np.isclose(weights @ model, wanted, atol=ZERO).all(1)] = np.nan
    return weights


def _hadamard(least: int) -> Array:
    """Return a Hadamard matrix of at least some size, whose first row and first column are 1."""
    from pydoe import pbdesign

    if least <= 2:
        return np.array([[1.0, 1.0], [1.0, -1.0]])[:least, :least]
    for size in itertools.count(-(-least // 4) * 4, 4):
        try:
            columns = pbdesign(size - 1)
        except ValueError:  # this size can't be constructed
            continue
        return np.column_stack([np.ones(size), columns[::-1]])
    raise AssertionError("there is a power of two")
