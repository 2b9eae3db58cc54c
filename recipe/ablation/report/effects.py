"""What the runs of a screening say about each trick, about pairs of tricks, and about the best combination.

Needs no torch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from functools import cached_property

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.report.findings import Alias, Best, Effect, HalfNormal, Interaction, Noise
from recipe.ablation.rows.combinations import Choice
from recipe.ablation.rows.variants import Unit
from recipe.ablation.statistics.analysis import Analysis
from recipe.ablation.statistics.designs import Array, Design, Group, Levels
from recipe.ablation.statistics.estimates import Fit, Geometry
from recipe.ablation.statistics.linear import inverse_of
from recipe.ablation.statistics.results import CONFIDENCE, Contrast, Estimate, Line

MOST_TRICKS = 14
"""The most tricks of which all combinations are predicted. Of more, only those near the best sum of effects are."""


@attrs.frozen(eq=False)
class Effects:
    """The effects of K tricks on the top-1 of N rows."""

    units: tuple[Unit, ...]
    design: Design
    lines: tuple[Line, ...]
    correct: Mapping[str, npt.NDArray[np.bool_]]
    statements: Callable[[Choice], tuple[str, ...] | None]
    """What to lay over the recipe to get a combination, or None if it isn't possible."""
    confidence: float = CONFIDENCE
    """The confidence of the intervals."""

    @cached_property
    def known(self) -> Levels:
        """Which rows have results: (N,)."""
        return np.array([bool(line.results) for line in self.lines])

    @cached_property
    def found(self) -> Design:
        """The design of the rows that have results."""
        return self.design.kept(self.known)

    @cached_property
    def analysis(self) -> Analysis:
        """The estimates of the effects that the results determine."""
        determined = [at for at in range(len(self.units)) if at not in self.found.undetermined]
        return self._analysis([(self.units[at].label, self.found.contrasts[at]) for at in determined])

    @cached_property
    def all(self) -> tuple[Effect, ...]:
        """The effect of each trick, in the order of the tricks."""
        estimates, inflations = iter(self.analysis.estimates), iter(self._inflations())
        seconds, macs = self._added()
        return tuple(
            Effect(
                unit.label,
                unit.statements,
                None if at in self.found.undetermined else next(estimates),
                None if at in self.found.undetermined else next(inflations),
                self._aliases(at),
                self._runs(at),
                seconds[at],
                macs[at],
            )
            for at, unit in enumerate(self.units)
        )

    @cached_property
    def half_normal(self) -> HalfNormal:
        """What a half-normal plot shows of the effects."""
        from scipy.special import ndtri

        found = [effect for effect in reversed(self.by_size) if effect.estimate]
        expected = ndtri(0.5 + 0.5 * (np.arange(len(found)) + 0.5) / max(1, len(found))).tolist()
        points = tuple(zip(found, expected, strict=True))
        noise = np.array([(abs(e.estimate.mean), x) for e, x in points if e.estimate and e.estimate.within_noise])
        return HalfNormal(
            points, float(noise[:, 0] @ noise[:, 1] / (noise[:, 1] @ noise[:, 1])) if len(noise) else None
        )

    def averages(self, values: Array) -> Array:
        """Return the means of values of the rows without each trick and with it, averaged over the other tricks on and
        off: (V, 2, K). NaN for one that the values don't determine.

        Args:
            values: V values of each row, NaN where there is none: (V, N).
        """
        means = np.full((len(values), 2, len(self.units)), np.nan)
        patterns, pattern_of = np.unique(~np.isnan(values), axis=0, return_inverse=True)
        for at, there in enumerate(patterns):
            if there.any():
                same = pattern_of.ravel() == at
                weights = self.design.kept(there).averages
                means[same] = np.einsum("skn,vn->vsk", weights, values[same][:, there])
        return means

    @property
    def by_size(self) -> list[Effect]:
        """The effects, the largest first, whatever their sign."""
        return sorted(self.all, key=lambda effect: -abs(effect.estimate.mean) if effect.estimate else 1)

    @cached_property
    def interactions(self) -> tuple[Interaction, ...]:
        """The interactions of two tricks that the results tell, the largest first. Their intervals hold together."""
        return tuple(interaction for _, interaction in self._interactions)

    @cached_property
    def noise(self) -> tuple[Noise, ...]:
        """The tricks with which runs are clearly noisier or less noisy: an F test of each, at 5 % for all together."""
        from scipy.special import fdtr, fdtrc

        found = []
        for unit, levels in zip(self.units, self.design.levels.T, strict=True):
            on, off = (Fit(self._results[rows], np.empty((0, rows.sum()))) for rows in (levels, ~levels))
            if on.variance is None or off.variance is None:
                continue
            degrees, ratio = (on.geometry.freedom, off.geometry.freedom), on.variance / off.variance
            chance = 2 * min(fdtr(*degrees, ratio), fdtrc(*degrees, ratio))
            if chance * len(self.units) < 1 - self.confidence:
                found.append(Noise(unit.label, math.sqrt(on.variance), math.sqrt(off.variance)))
        return tuple(found)

    @cached_property
    def best(self) -> Best | None:
        """The best possible combination by the effects and the interactions that stand out, or None if not all are
        known.

        Of pairs that can't be told apart, the one whose tricks have the largest effects is taken to interact.
        """
        if any(effect.estimate is None for effect in self.all):
            return None
        terms = self._terms()
        candidates = self._candidates()
        predicted = self._model(candidates, terms)[:, 1:] @ self._coefficients(terms)
        for at in np.argsort(-predicted, kind="stable"):
            on: Choice = tuple(candidates[at].tolist())
            if (statements := self.statements(on)) is not None:
                return self._best(on, statements, terms)
        return None

    def predicted(self, levels: Levels) -> Array:
        """Return the predicted top-1 of some combinations, as a mean over the seeds."""
        terms = self._terms()
        weights = np.zeros((len(levels), len(self.lines)))
        weights[:, self.known] = self._model(levels, terms) @ inverse_of(self._model(self.found.levels, terms))
        return Fit(self._results, weights).values

    def top1_of(self, on: Choice) -> Estimate | None:
        """Return the predicted top-1 of a combination, as a mean over the seeds, or None if it isn't known."""
        terms = self._terms()
        weights = self._model(np.array([on]), terms) @ inverse_of(self._model(self.found.levels, terms))
        return self._analysis([("", weights[0])]).estimates[0]

    def _best(self, on: Choice, statements: tuple[str, ...], terms: list[int]) -> Best | None:
        both = np.array([on, [False] * len(on)])
        best, none = self._model(both, terms) @ inverse_of(self._model(self.found.levels, terms))
        top1 = self._analysis([("", best)]).estimates[0]
        if top1 is None:
            return None
        gain = self._analysis([("", best - none)]).estimates[0] if any(on) else Estimate(0.0, seeds=top1.seeds)
        if gain is None:
            return None
        return self.named(on, statements, top1, gain)

    def named(self, on: Choice, statements: tuple[str, ...], top1: Estimate, gain: Estimate) -> Best:
        """Return a combination with the labels of its tricks, and its row if it was tried."""
        same = np.flatnonzero((self.design.levels == np.array(on)).all(1))
        labels = tuple(unit.label for unit, is_on in zip(self.units, on, strict=True) if is_on)
        return Best(on, labels, statements, top1, gain, int(same[0]) if len(same) else None)

    @cached_property
    def _results(self) -> Array:
        """The top-1 of each row under each seed, NaN where there is none."""
        return np.array([line.values for line in self.lines], np.float64)

    @cached_property
    def _interactions(self) -> list[tuple[Group, Interaction]]:
        if not self.found.groups:
            return []
        sizes = [abs(effect.estimate.mean) if effect.estimate else 0.0 for effect in self.all]
        likely = [[sizes[a] + sizes[b] for a, b in group.pairs] for group in self.found.groups]
        groups = [
            group.led_by(max(range(len(of)), key=of.__getitem__))
            for group, of in zip(self.found.groups, likely, strict=True)
        ]
        estimates = self._analysis([("", group.weights) for group in groups]).estimates
        found = [
            (group, Interaction(*self._named(group), estimate, self._means(group)))
            for group, estimate in zip(groups, estimates, strict=True)
            if estimate is not None
        ]
        return sorted(found, key=lambda each: -abs(each[1].estimate.mean))

    def _means(self, group: Group) -> tuple[Estimate, ...] | None:
        weights = self.found.means(group.pairs[0])
        if np.isnan(weights).any():
            return None
        estimates = self._analysis([("", each) for each in weights]).estimates
        return tuple(each for each in estimates if each is not None) if None not in estimates else None

    def _named(self, group: Group) -> tuple[tuple[tuple[str, str], ...], tuple[int, ...]]:
        named = tuple((self.units[a].label, self.units[b].label) for a, b in group.pairs)
        return named, tuple(1 if factor > 0 else -1 for factor in group.factors)

    def _terms(self) -> list[int]:
        """Return the pair to predict with for each group that stands out, as indices of pairs."""
        terms = list[int]()
        for group, interaction in self._interactions:
            if interaction.stands_out:
                more = [*terms, self.found.pairs.index(group.pairs[0])]
                model = self._model(self.found.levels, more)
                if np.linalg.matrix_rank(model) == model.shape[1]:
                    terms = more
        return terms

    def _model(self, levels: Levels, terms: list[int]) -> Array:
        """Return the model of main effects and the interactions of some pairs, for some combinations."""
        constant = np.ones((len(levels), 1))
        return np.hstack([constant, levels.astype(float), self.design.interactions(levels)[:, terms]])

    def _coefficients(self, terms: list[int]) -> Array:
        """Return the coefficients of the model but for its constant."""
        weights = np.zeros((len(self.units) + len(terms), len(self.lines)))
        weights[:, self.known] = inverse_of(self._model(self.found.levels, terms))[1:]
        return Fit(self._results, weights).values

    def _candidates(self) -> Levels:
        """Return the combinations to predict: all, or those within three changes of the best sum of effects."""
        count = len(self.units)
        if count <= MOST_TRICKS:
            return np.array([*itertools.product((False, True), repeat=count)])
        best = np.array([effect.estimate is not None and effect.estimate.mean > 0 for effect in self.all])
        changes = (each for size in range(4) for each in itertools.combinations(range(count), size))
        changed = [np.isin(np.arange(count), each) for each in changes]
        return best ^ np.array(changed)

    def _analysis(self, contrasts: list[tuple[str, Array]]) -> Analysis:
        """Return the estimates of contrasts, with weights for the rows that have results."""

        def spread(weights: Array) -> tuple[float, ...]:
            whole = np.zeros(len(self.lines))
            whole[self.known] = weights
            return tuple(whole.tolist())

        named = tuple(Contrast(label, spread(weights)) for label, weights in contrasts)
        return Analysis(self.lines, named, self.correct, self.confidence)

    def _inflations(self) -> list[float | None]:
        """Return the inflation of each determined effect."""
        if not (contrasts := self.analysis.contrasts):
            return []
        weights = np.array([contrast.weights for contrast in contrasts])
        observed = ~np.isnan(self._results)
        lengths = np.linalg.norm(Geometry.of(observed, weights).weights, axis=1)
        ratios = lengths / np.sqrt(4 / (self.design.size * observed.shape[1]))
        return [None if np.isnan(ratio) else round(float(ratio), 6) for ratio in ratios]

    def _aliases(self, at: int) -> tuple[Alias, ...]:
        if at in self.found.undetermined:
            return ()
        named = ((self.units[a].label, self.units[b].label) for a, b in self.found.pairs)
        shares = zip(named, self.found.aliases[at], strict=True)
        return tuple(Alias(pair, round(float(share), 6)) for pair, share in shares if share)

    def _added(self) -> tuple[list[float | None], list[float | None]]:
        """Return what each trick adds to the seconds per epoch and to the MACs, as fractions."""
        costs = np.array([[line.seconds_per_epoch for line in self.lines], [line.macs for line in self.lines]])
        seconds, macs = (
            [
                round(having / without - 1, 6) if without > 0 and having >= 0 else None
                for without, having in means.T.tolist()
            ]
            for means in self.averages(costs.astype(np.float64))
        )
        return seconds, macs

    def _runs(self, at: int) -> tuple[int, int]:
        counts = [len(line.results) for line in self.lines]
        on = sum(count for count, is_on in zip(counts, self.design.levels[:, at], strict=True) if is_on)
        return on, sum(counts) - on
