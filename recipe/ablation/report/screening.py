"""The table of a screening, as text and data: the effect of each trick, interactions, and the best combination.

Needs no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import attrs

from recipe.ablation.report.answer import RESOLVED, told
from recipe.ablation.report.confirmation import Confirmation
from recipe.ablation.report.effects import Effects
from recipe.ablation.report.findings import Best, Effect, Interaction
from recipe.ablation.report.kept import Kept, kept
from recipe.ablation.report.page import METHODS as PAGE_METHODS
from recipe.ablation.report.page import Entry, Page
from recipe.ablation.report.screening_page import MEANS, METHODS, TEMPLATE, entries, parts
from recipe.ablation.report.table import Table
from recipe.ablation.report.words import between, ends, percent, signed
from recipe.ablation.rows.combinations import Choice, Replaced, label_of
from recipe.ablation.rows.variants import Unit
from recipe.ablation.statistics.analysis import Analysis
from recipe.ablation.statistics.designs import Design
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

KEPT = ("label", "mean", "interval", "single", "own", "images", "seeds", "verdict", "aliases", "runs")
"""What is in JSON about an effect next to a trick that is kept."""

WORTH_SAYING = 1.05
"""How much wider than in the full design an interval is before a note reports it."""


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
        """The combination with the highest predicted top-1, or None if not all effects are known."""
        return self.found.best

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
            *self._about_best(),
            *self._about_confirmation(),
            *self._about_intervals("trick", "effect"),
            *(each.said for each in self.found.noise),
            *self._about_kept(),
            *self._about_design(),
            *(["`table.json` names the interactions in an effect as its aliases."] if self._is_aliased else []),
            *self._about_rows(),
            *self._about_environments(),
            *self.about,
        ]

    @property
    def _more_answer(self) -> str:
        pairs = [" and ".join(each.pairs[0]) for each in self.interactions if each.stands_out]
        depend = f"The effects of {', and of '.join(pairs)} seem to depend on each other." if pairs else ""
        return " ".join(filter(None, (depend, self._about_others)))

    @property
    def _about_others(self) -> str:
        """What the runs with a trick that is kept say about the others."""
        if (kept := self.kept) is None:
            return ""
        verdicts = [(effect.label, effect.verdict) for effect in kept.found.by_size]
        said = f"Runs {kept.where} are less noisy. In those, {told(verdicts)}."
        half = self.look.until.half if self.look else RESOLVED
        seeds, runs = self.analysis.seeds_for(half), kept.runs_for(half)
        if seeds is not None and runs is not None and runs < self.analysis.runs_for(seeds):
            said += f" A screening of those {kept.where}, to ±{100 * half:g} points, would take about {runs} runs."
        return said

    def _about_effects(self) -> str:
        return (
            "An effect is the mean top-1 on held-out images with the trick minus that without it, in percentage "
            f"points, averaged over the other tricks on and off: {plural(len(self.lines), 'combination')}, "
            f"{self._seeds}."
        )

    def _about_kept(self) -> list[str]:
        if (kept := self.kept) is None:
            return []
        others, freedom = plural(len(kept.found.units), "other trick"), kept.found.analysis.freedom
        return [
            f"The effects {kept.where} are from {plural(kept.runs, 'run')}, and may include interactions of two "
            f"tricks. Their {CONFIDENCE:.0%} intervals hold for the {others} together, and use the noise of those "
            f"runs, {plural(freedom, 'degree')} of freedom. To screen the other tricks {kept.where}, override the "
            f"recipe with {'; '.join(kept.statements) or 'nothing'}, and study only them."
        ]

    def _about_best(self) -> list[str]:
        if (best := self.best) is None:
            return []
        tried = "not tried" if best.row is None else f"tried as `{self.lines[best.row].label}`"
        top1 = f"top-1 {percent(best.estimate.mean)}"
        if best.estimate.single is not None:
            top1 += f" ({between(best.estimate.single)})"
        if not best.labels:
            return [f"Best predicted combination: none of the tricks, {top1}, {tried}."]
        gain = f"{signed(best.gain.mean)} points"
        if best.gain.single is not None:
            gain += f" ({ends(best.gain.single)})"
        lines = [
            f"Best predicted combination: {', '.join(best.labels)}. Predicted {top1}, {gain} from none of the tricks; "
            f"{tried}."
        ]
        noise = [each.label for each in self.effects if each.label in best.labels and each.verdict == "within noise"]
        if noise:
            lines[0] += f" It includes what is within noise: {', '.join(noise)}."
        return [*lines, f"To get it, override the recipe with: {'; '.join(best.statements) or 'nothing'}."]

    def _about_confirmation(self) -> list[str]:
        """Return what the confirmation measured."""
        if (found := self.confirmation) is None:
            return []
        none, best = found.lines[:2]
        seeds = f"new seeds ({', '.join(str(cell.seed) for cell in best.cells)})"
        lines = _lacking("diverged", "diverged", found.lines) + _lacking("missing", "missing so far", found.lines)
        if (gain := found.gain) is None:
            return [f"The best combination has not been measured with {seeds}.", *lines]
        measured = f"{signed(gain.mean)} points" + (f" ({ends(gain.single)})" if gain.single else "")
        said = f"Measured with {seeds}: {measured} from none of the tricks, predicted "
        said += f"{signed(found.best.gain.mean)}. Top-1 {_measured(best)} instead of {_measured(none)}"
        said += " (mean ± sample standard deviation)." if best.deviation is not None else "."
        if found.is_confirmed is False:
            said += " The two gains differ by more than their noise explains."
        lines = [said, *lines]
        if self.short:
            pairs = zip(found.lines, found.predicted, strict=True)
            ranked = ", ".join(f"`{line.label}` {_measured(line)} ({100 * top1:.2f})" for line, top1 in pairs)
            lines.append(f"The confirmation is without `{self.short}`, which only the screening has.")
            if (rank := found.rank_correlation) is not None:
                lines.append(f"Top-1 at full length, and as predicted: {ranked}. Their rank correlation is {rank:.2f}.")
        return lines

    def _about_design(self) -> list[str]:
        """Return what the design is, and what lost rows cost."""
        lines = [f"Design: {self.design.name}. {MEANS[self.design.resolution]}"]
        if self.design.resolution == 4 and self._is_aliased:
            lines.append("Combinations that are replaced or have no results add parts of some.")
        if self.replaced:
            lost = sum(each.row is None for each in self.replaced)
            lines.append(
                f"{plural(len(self.replaced), 'combination')} of the design, such as "
                f"`{label_of(self.units, self.replaced[0].on)}`, can't be trained, because "
                "tricks need, exclude or override each other; the nearest possible ones take their place"
                + (f", except for {lost} that nothing new can replace." if lost else ".")
            )
        empty = [f"`{line.label}`" for line in self.lines if not line.results]
        if empty and len(empty) < len(self.lines):
            lines.append(f"Effects are estimated without the rows that have no results: {', '.join(empty)}.")
        wide = [each for each in self.effects if each.inflation is not None and each.inflation > WORTH_SAYING]
        if wide:
            named = ", ".join(f"{each.label} {each.inflation:.2f}" for each in wide)
            lines.append(f"Standard errors as multiples of those in the full design: {named}.")
        return lines

    @property
    def _is_aliased(self) -> bool:
        return any(effect.aliases for effect in self.effects)

    def _about_rows(self) -> list[str]:
        """Return what is unusual about rows."""
        said = Counter(note for line in self.lines if line.note for note in line.note.split("; "))
        lines = [f"In {plural(count, 'combination')}: {note}." for note, count in said.items()]
        return [*lines, *_lacking("diverged", "diverged", self.lines)]

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
                    self._about_design(),
                    self.kept,
                ),
                "confirmation": self.confirmation,
                "confirmed": self._about_confirmation(),
                "about_kept": self._about_kept(),
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
                "effects": [{name: _effect(each)[name] for name in KEPT} for each in self.kept.found.all],
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


def _measured(line: Line) -> str:
    """Return the measured top-1 of a row."""
    return percent(line.mean) + ("" if line.deviation is None else f" ± {100 * line.deviation:.2f}")


def _lacking(status: str, said: str, lines: Sequence[Line]) -> list[str]:
    """Return how many runs of each row have a status, ``said`` in words, unless none has."""
    counts = ((line, sum(cell.status == status for cell in line.cells)) for line in lines)
    return [f"{n} of {plural(len(line.needed), 'run')} of `{line.label}` {said}." for line, n in counts if n]


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
