"""The table of a screening, as text and data: the effect of each trick, interactions, and the best combination.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import attrs

from recipe.ablation.report.answer import RESOLVED
from recipe.ablation.report.confirmation import Confirmation
from recipe.ablation.report.effects import Effects
from recipe.ablation.report.findings import Best, Effect, Interaction
from recipe.ablation.report.kept import Kept, kept
from recipe.ablation.report.page import METHODS as PAGE_METHODS
from recipe.ablation.report.page import Entry, Page
from recipe.ablation.report.screening_notes import (
    about_best,
    about_confirmation,
    about_design,
    about_kept,
    about_rows,
    answer_about,
    is_aliased,
)
from recipe.ablation.report.screening_page import METHODS, TEMPLATE, entries, parts
from recipe.ablation.report.table import Table
from recipe.ablation.report.words import ends, signed
from recipe.ablation.rows.combinations import Choice, Replaced
from recipe.ablation.rows.variants import Unit
from recipe.ablation.statistics.analysis import Analysis
from recipe.ablation.statistics.designs import Array, Design, Levels
from recipe.ablation.statistics.results import CONFIDENCE, Estimate, Line
from recipe.base.wording import plural

COLUMNS = (
    "",
    "effect",
    f"{CONFIDENCE:.0%} interval",
    "own interval",
    "± images",
    "",
    "runs with",
    "runs without",
)

WORDS = (0, 5)
"""Indices of the columns that contain words. The others contain numbers."""

OF_ALL = ("statements", "inflation", "added")
"""What is in JSON about an effect in all runs, but not about one next to a trick that is kept."""


@attrs.frozen
class Screening(Table):
    """The table of a screening. Its ``lines`` are combinations of tricks, and its cells are the effects of tricks."""

    columns: ClassVar[tuple[str, ...]] = COLUMNS
    _words: ClassVar[tuple[int, ...]] = WORDS

    units: tuple[Unit, ...] = attrs.field(kw_only=True, repr=False)
    design: Design = attrs.field(kw_only=True, repr=False, eq=False)
    """Which tricks are on in each row."""
    replaced: tuple[Replaced, ...] = attrs.field(kw_only=True, default=(), repr=False)
    """The combinations of the full design that are not possible."""
    statements: Callable[[Choice], tuple[str, ...] | None] = attrs.field(kw_only=True, repr=False, eq=False)
    """What to lay over the recipe to get a combination, or None if it isn't possible."""
    short: str = attrs.field(kw_only=True, default="")
    """The statements that only the runs of the screening have, to be shorter than those of the confirmation."""
    confirmation: Confirmation | None = attrs.field(kw_only=True, default=None, repr=False)
    """The best combination under new seeds, if that was asked for and the screening has finished."""

    @cached_property
    def found(self) -> Effects:
        """What the runs say about each trick and each pair of tricks."""
        return Effects(self.units, self.design, self.lines, self.correct, self.statements, self._confidence)

    @cached_property
    def kept(self) -> Kept | None:
        """The effects of the other tricks next to one that helps and makes runs less noisy, or None if none does."""
        return kept(self.found)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effect of each trick, in the order of the tricks."""
        return self.found.all

    @property
    def interactions(self) -> tuple[Interaction, ...]:
        """The interactions of two tricks, the largest first."""
        return self.found.interactions

    @property
    def best(self) -> Best | None:
        """The combination with the highest predicted top-1, or None if not all effects are known.

        Next to a trick that is kept, it is predicted by the runs that are like that.
        """
        return (self._predictor or self.found).best

    def predicted(self, levels: Levels) -> Array:
        """Return the predicted top-1 of some combinations of K tricks, from 0 to 1: (N, K) to (N,)."""
        return (self._predictor or self.found).predicted(levels)

    @property
    def _predictor(self) -> Kept | None:
        """The effects next to a trick that is kept, if they predict combinations."""
        return self.kept if self.kept and self.kept.best else None

    @property
    def analysis(self) -> Analysis:
        """What the results of all rows together say about each effect."""
        return self.found.analysis

    def compared_with(self, row: int) -> int | None:
        """Return the index of the combination with none of the tricks, unless it is this one or was not tried."""
        none = next((at for at, levels in enumerate(self.design.levels.tolist()) if not any(levels)), None)
        return None if none == row else none

    def cells(self) -> list[tuple[str, ...]]:
        """Return the effects as text, one tuple per trick, the largest first, without the heading."""
        return _cells(self.found)

    def parts(self) -> list[list[tuple[str, ...]]]:
        """Return the table of effects, and one of those next to a trick that is kept, if any."""
        more = [[(self.kept.where, *self.columns[1:]), *_cells(self.kept.found)]] if self.kept else []
        return [*super().parts(), *more]

    def notes(self) -> list[str]:
        """Return sentences that explain the figures."""
        return [
            self._about_effects(),
            *self._about_looks(),
            *(f"Interaction: {each.said}" for each in self.interactions if each.stands_out),
            *about_best(self.found, self.best, self._predictor),
            *self._confirmed,
            *self._about_intervals("trick", "effect"),
            *(each.said for each in self.found.noise),
            *([about_kept(self.kept)] if self.kept else []),
            *about_design(self.found, self.replaced),
            *(["`table.json` names the interactions in an effect as its aliases."] if is_aliased(self.found) else []),
            *about_rows(self.found),
            *self._about_environments(),
            *self.about,
        ]

    @property
    def _more_answer(self) -> str:
        pairs = [" and ".join(each.pairs[0]) for each in self.interactions if each.stands_out]
        depend = f"The effects of {', and of '.join(pairs)} seem to depend on each other." if pairs else ""
        if self.kept is None:
            return depend
        half = self.look.until.half if self.look else RESOLVED
        seeds = self.analysis.seeds_for(half)
        more = None if seeds is None else self.analysis.runs_for(seeds)
        return " ".join(filter(None, (depend, answer_about(self.kept, half, more))))

    @property
    def _confirmed(self) -> list[str]:
        return about_confirmation(self.confirmation, self.short) if self.confirmation else []

    def _about_effects(self) -> str:
        return (
            "An effect is the mean top-1 on held-out images with the trick minus that without it, in percentage "
            f"points, averaged over the other tricks on and off: {plural(len(self.lines), 'combination')}, "
            f"{self._seeds}."
        )

    def _verdicts(self) -> list[tuple[str, str | None]]:
        return [(effect.label, None if effect.estimate is None else effect.verdict) for effect in self.effects]

    def _page(self, command: str) -> Page:
        intervals = [*self._about_intervals("trick", "effect"), *(each.said for each in self.found.noise)]
        return attrs.evolve(
            super()._page(command),
            change="effect",
            notes=[self._about_effects(), *self._about_looks(), *intervals, *self._about_environments(), *self.about],
            methods=(METHODS[self.design.resolution], *PAGE_METHODS),
            template=TEMPLATE,
            more={
                **parts(
                    self.found,
                    self.replaced,
                    ["; ".join(self._said(line)) for line in self.lines],
                    about_design(self.found, self.replaced),
                    self.kept,
                    self._predictor,
                ),
                "confirmation": self.confirmation,
                "confirmed": self._confirmed,
                "about_kept": about_kept(self.kept) if self.kept else "",
            },
        )

    @property
    def _against(self) -> str:
        return "without the trick"

    def _entries(self) -> list[Entry]:
        return entries(self.found, self.curves)

    def _all_runs(self) -> list[tuple[str, Line]]:
        more = self.confirmation.lines if self.confirmation else ()
        return [*super()._all_runs(), *((f"confirmation: {line.label}", line) for line in more)]

    def _more_columns(self) -> tuple[str, ...]:
        return tuple(unit.label for unit in self.units)

    def _more_values(self, row: int) -> tuple[int, ...]:
        levels = [*self.design.levels.tolist(), *(self.confirmation.on if self.confirmation else ())]
        return tuple(map(int, levels[row]))

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain JSON values. Top-1 is from 0 to 1."""
        best = self.best
        return super().to_dict() | {
            "effects": [_effect(effect) for effect in self.effects],
            "interactions": [
                {
                    "pairs": [
                        {"tricks": list(pair), "sign": sign} for pair, sign in zip(each.pairs, each.signs, strict=True)
                    ],
                    "stands_out": each.stands_out,
                    **attrs.asdict(each.estimate),
                    "means": each.means and [mean.mean for mean in each.means],
                }
                for each in self.interactions
            ],
            "design": {
                "name": self.design.name,
                "resolution": self.design.resolution,
                "tricks": [unit.label for unit in self.units],
                "levels": [[int(is_on) for is_on in row] for row in self.design.levels.tolist()],
                "replaced": [
                    {"levels": [int(is_on) for is_on in each.on], "row": each.row, "why": each.why}
                    for each in self.replaced
                ],
            },
            "best": best
            and {
                "tricks": list(best.labels),
                "statements": list(best.statements),
                "row": best.row,
                "top1": best.estimate.mean,
                "interval": _ends(best.estimate),
                "gain": best.gain.mean,
                "gain_interval": _ends(best.gain),
            },
            "kept": self.kept
            and {
                "trick": self.kept.label,
                "is_on": self.kept.on,
                "freedom": self.kept.found.analysis.freedom,
                "effects": [
                    {name: value for name, value in _effect(each).items() if name not in OF_ALL}
                    for each in self.kept.found.all
                ],
            },
            "confirmation": self.confirmation and self.confirmation.to_dict(),
        }


def _cells(found: Effects) -> list[tuple[str, ...]]:
    return [(effect.label, *_estimated(effect), *map(str, effect.runs)) for effect in found.by_size]


def _estimated(effect: Effect) -> tuple[str, ...]:
    found = effect.estimate
    if found is None:
        return "–", "", "", "", "can't be told from the results"
    images = "" if found.images is None else f"{100 * found.images:.2f}"
    return signed(found.mean), ends(found.interval), ends(found.own), images, effect.verdict


def _effect(effect: Effect) -> dict[str, Any]:
    found = attrs.asdict(effect.estimate) if effect.estimate else dict.fromkeys(_NAMES)
    return {
        "label": effect.label,
        "statements": list(effect.statements),
        **found,
        "verdict": effect.verdict,
        "inflation": effect.inflation,
        "aliases": [{"tricks": list(alias.tricks), "share": alias.share} for alias in effect.aliases],
        "runs": {"on": effect.runs[0], "off": effect.runs[1]},
        "added": {"seconds_per_epoch": effect.seconds, "macs": effect.macs},
    }


_NAMES = [field.name for field in attrs.fields(Estimate)]


def _ends(estimate: Estimate) -> dict[str, float] | None:
    return attrs.asdict(estimate.single) if estimate.single else None
