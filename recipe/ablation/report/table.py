"""The table of an ablation, as text and data: means, differences with intervals, and costs. Needs no torch."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.report.answer import RESOLVED, answered, surer
from recipe.ablation.report.chosen import Report, is_complete
from recipe.ablation.report.page import Curves, Entry, Page
from recipe.ablation.report.words import ends, percent, signed
from recipe.ablation.rows.variants import AGAINST
from recipe.ablation.statistics.analysis import Analysis
from recipe.ablation.statistics.looks import Look
from recipe.ablation.statistics.results import CONFIDENCE, Cell, Contrast, Estimate, Line
from recipe.base import notebook
from recipe.base.printable import markdown, printable
from recipe.base.wording import columns, plural

COLUMNS = (
    "",
    "top-1",
    "difference",
    f"{CONFIDENCE:.0%} interval",
    "own interval",
    "± images",
    "",
    "MACs",
    "params",
    "s/epoch",
    "memory",
)

WORDS = (0, 6)
"""Indices of the columns that contain words. The others contain numbers."""


@attrs.frozen
class Table:
    """The table of an ablation."""

    title: str
    """The name of the ablation and its mode."""
    mode: str
    """``stack``, ``drop``, ``add`` or ``screen``."""
    recipe: str
    """The canonical text of the studied recipe."""
    seeds: tuple[int, ...]
    """The seeds of each row."""
    lines: tuple[Line, ...]
    """The rows, each with a ``label``, its ``cells`` (one per seed), and the ``mean`` and ``deviation`` of their
    top-1 (0 to 1)."""
    about: tuple[str, ...] = ()
    """Sentences about the dataset, the length of the runs, and warnings."""
    correct: Mapping[str, npt.NDArray[np.bool_]] = attrs.field(factory=dict, repr=False, eq=False)
    """Which held-out images each run classified correctly, by the name of its cell, where that is known."""
    curves: Curves = attrs.field(factory=dict, repr=False, eq=False)
    """The epochs at which each run was evaluated and its held-out top-1, by the name of its cell."""
    report: Report | None = attrs.field(default=None, repr=False)
    """How good the best row is on images that had no part in its choice, if there are any."""

    meanings: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """What each trick does, in a sentence, by its label."""
    look: Look | None = attrs.field(default=None, repr=False)
    """With ``until``, the look that the seeds so far belong to."""

    def __repr__(self) -> str:
        states = [cell.status for line in self.lines for cell in line.needed]
        runs = f"{states.count('finished')} of {plural(len(states), 'run')} finished"
        return f"Table({printable(self.title)}: {plural(len(self.lines), 'row')}, {runs})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the table and its notes."""
        title, notes = notebook.paragraphs([self.title, self.answer]), notebook.paragraphs(self.notes())
        return title + "".join(notebook.table(rows, self._numbers) for rows in self.parts()) + notes

    columns: ClassVar[tuple[str, ...]] = COLUMNS
    """The headings of the columns."""
    _words: ClassVar[tuple[int, ...]] = WORDS

    @property
    def _numbers(self) -> list[int]:
        """The indices of the columns that contain numbers."""
        return [at for at in range(len(self.columns)) if at not in self._words]

    @cached_property
    def analysis(self) -> Analysis:
        """What the results of all rows together say about each difference."""
        unit = np.eye(len(self.lines))
        contrasts = (
            Contrast(line.label, tuple((unit[at] - unit[line.reference]).tolist()))
            for at, line in enumerate(self.lines)
            if line.reference is not None
        )
        return Analysis(self.lines, tuple(contrasts), self.correct, self._confidence)

    @property
    def _confidence(self) -> float:
        """The confidence of each interval at its look."""
        return self.look.confidence if self.look else CONFIDENCE

    @cached_property
    def unsettled(self) -> tuple[str, ...]:
        """With ``until``, the tricks whose intervals are not yet as narrow as wished, if they may gain as much."""
        if self.look is None:
            return ()
        return tuple(contrast.label for contrast, _ in self.look.unsettled(self.analysis, self.mode == "drop"))

    @property
    def answer(self) -> str:
        """Which tricks help, which hurt, how many runs would tell more, and how the best row does on other images."""
        half = self.look.until.half if self.look else RESOLVED
        needed = self.analysis.seeds_for(half) if self.look is None or self.unsettled else None
        more = 0 if needed is None else self.analysis.runs_for(needed)
        said = answered(self._verdicts(), len(self.seeds), half, needed, more)
        report = self.report.sentence if self.report else ""
        return " ".join(filter(None, (said, self._more_answer, self._settled, report)))

    @property
    def _more_answer(self) -> str:
        """What else the answer says, after the verdicts."""
        return ""

    @property
    def _settled(self) -> str:
        """With ``until``, whether the intervals are as narrow as wished, in a sentence."""
        known = [verdict for _, verdict in self._verdicts() if verdict is not None]
        if self.look is None or not known:
            return ""
        points, count = f"±{100 * self.look.until.half:g} points", len(self.unsettled)
        if not is_complete(self.lines):
            return f"Runs are missing, so it isn't known yet whether every trick is settled to {points}."
        if count:
            are = "is" if count == 1 else "are"
            return f"{plural(count, 'trick')} {are} not settled to {points}: no more seeds were allowed."
        every = "Every trick" if len(known) == len(self._verdicts()) else "Every trick with finished runs"
        return f"{every} is settled: its interval is {points} or narrower, or it can't gain that much."

    def _verdicts(self) -> list[tuple[str, str | None]]:
        """Return the verdict of each trick, or None for one that the results don't determine."""
        tricks = [line.label.removeprefix("+ ").removeprefix("− ") for line in self.lines if line.reference is not None]
        estimates = self.analysis.estimates
        verdicts = [None if each is None else each.verdict(self.mode == "drop") for each in estimates]
        return [*zip(tricks, verdicts, strict=True)]

    def difference(self, line: Line) -> Estimate | None:
        """Return the difference between a row and the row it is compared with, or None if it isn't known."""
        compared = [each for each in self.lines if each.reference is not None]
        return self.analysis.estimates[compared.index(line)] if line in compared else None

    def compared_with(self, row: int) -> int | None:
        """Return the index of the row that a row is compared with, if any."""
        return self.lines[row].reference

    def parts(self) -> list[list[tuple[str, ...]]]:
        """Return all tables of the ablation as text, each with its heading. They have the same columns."""
        return [[self.columns, *self.cells()]]

    def cells(self) -> list[tuple[str, ...]]:
        """Return the table as text, one tuple per row, without the heading."""
        return [
            (
                line.label,
                *self._results(line),
                _amount(line.macs),
                _amount(line.params),
                "" if line.seconds_per_epoch is None else f"{line.seconds_per_epoch:.1f}",
                "" if line.peak_memory_bytes is None else f"{line.peak_memory_bytes / 2**30:.2f} GiB",
            )
            for line in self.lines
        ]

    def _results(self, line: Line) -> tuple[str, ...]:
        top1 = percent(line.mean)
        if line.deviation is not None:
            top1 += f" ± {100 * line.deviation:.2f}"
        change, said = self.difference(line), self._said(line)
        if change is None:
            return top1, "", "", "", "", "; ".join(said)
        said = ["within noise", *said] if change.within_noise else said
        images = "" if change.images is None else f"{100 * change.images:.2f}"
        return top1, signed(change.mean), ends(change.interval), ends(change.own), images, "; ".join(said)

    def _said(self, line: Line) -> list[str]:
        """Return what is unusual about a row."""
        said, change = [line.note] if line.note else [], self.difference(line)
        states = [cell.status for cell in line.needed]
        if len(states) < len(line.cells):
            said.append(f"{len(states)} of {plural(len(line.cells), 'seed')} needed")
        said += [f"{states.count(s)} of {len(states)} {s}" for s in ("diverged", "missing") if s in states]
        if change is not None and change.seeds < len(line.results):  # the other row lacks some seeds
            said.append(f"own interval over {change.seeds} of {plural(len(states), 'seed')}")
        elif change is None and line.results and line.reference is not None:
            said.append(f"no seeds in common with `{self.lines[line.reference].label}`")
        return said

    def notes(self) -> list[str]:
        """Return sentences that explain the figures."""
        lines = [
            f"Top-1 is on held-out images, in percent: mean ± sample standard deviation over {self._seeds}. "
            f"The difference is from the {AGAINST[self.mode]}, in percentage points.",
            *self._about_looks(),
        ]
        lines += self._about_intervals("row", "difference")
        return [*lines, *self._about_environments(), *self.about]

    @property
    def _seeds(self) -> str:
        """The number of seeds and which they are, in words."""
        counts = {len(line.needed) for line in self.lines}
        fewest = f"{min(counts)} to " if len(counts) > 1 else ""
        return f"{fewest}{plural(len(self.seeds), 'seed')} ({', '.join(map(str, self.seeds))})"

    def _about_looks(self) -> list[str]:
        """Return what was wanted of the seeds, and what the looks at the results cost."""
        if (look := self.look) is None:
            return []
        points, most = f"±{100 * look.until.half:g} points", plural(look.until.most, "seed")
        return [
            f"Seeds are added until every interval is {points} or narrower, or its trick can't gain that much, with at "
            f"most {most}. This is look {look.number} at the results. Its intervals have a confidence of "
            f"{100 * look.confidence:.4g} %, so that those of all looks hold together with {100 * CONFIDENCE:g} %."
        ]

    def _about_environments(self) -> list[str]:
        made = sorted({cell.made_with for line in self.lines for cell in line.cells if cell.made_with})
        same = f"Runs from different environments may not agree to the last bit: {'; '.join(made)}."
        return [same] if len(made) > 1 else []

    def _about_intervals(self, one: str, estimate_of: str) -> list[str]:
        """Return sentences that explain the intervals, which are those of differences of rows or effects of tricks."""
        if len(self.seeds) < 2:
            return ["One seed says nothing about noise, so there is no interval."]
        estimates = [estimate for estimate in self.analysis.estimates if estimate is not None]
        equally = "" if self.analysis.is_balanced else ", if all rows are about equally noisy"
        lines = [
            f"The {CONFIDENCE:.0%} intervals hold for all {one}s together{equally}. They use the noise of all rows, "
            f"{plural(self.analysis.freedom, 'degree')} of freedom. Within noise: the interval contains zero. The own "
            f"interval is Student's t interval of the {estimate_of} under each seed, and knows nothing but its "
            f"{plural(len(self.seeds), 'value')}."
        ]
        if not self.analysis.freedom:
            lines = ["Too few runs have finished to tell anything about noise, so there is no interval."]
        if self.analysis.is_uneven and not self.analysis.is_balanced:
            lines.append("Some rows seem noisier than others. The intervals allow for that in part.")
        if self.analysis.freedom and all(estimate.interval is None for estimate in estimates):
            lines.append(f"No noise was measured, so no {one} has an interval.")
        if any(estimate.images is not None for estimate in estimates):
            lines.append(
                f"± images is how far {estimate_of}s may be from those on all images of the same kind, at most, since "
                f"the held-out images are a sample ({CONFIDENCE:.0%}). The intervals don't include it."
            )
        return lines

    def to_text(self) -> str:
        """Return the table as plain text for a terminal."""
        title, notes = printable(self.title), map(printable, self.notes())
        tables = (line for rows in self.parts() for line in (columns(rows, self._numbers), ""))
        return "\n".join([title, "", printable(self.answer), "", *tables, *notes]) + "\n"

    def to_markdown(self) -> str:
        """Return the table as Markdown, in which labels and notes are plain text."""
        sides = ["---:" if at in self._numbers else "---" for at in range(len(self.columns))]
        tables = (
            line
            for heading, *rows in self.parts()
            for line in (*(f"| {' | '.join(map(markdown, row))} |" for row in (heading, sides, *rows)), "")
        )
        return (
            "\n".join(
                [
                    f"**{markdown(self.title)}**",
                    "",
                    markdown(self.answer),
                    "",
                    *tables,
                    " ".join(map(markdown, self.notes())),
                ]
            )
            + "\n"
        )

    def to_html(self, command: str = "") -> str:
        """Return the table as a self-contained page. ``command`` is the command that made it, to be shown there."""
        return self._page(command).to_html()

    def _page(self, command: str) -> Page:
        return Page(
            title=self.title,
            answer=self.answer,
            entries=self._entries(),
            against=self._against,
            lines=self.lines,
            runs=self._all_runs(),
            meanings=self.meanings,
            notes=self.notes(),
            recipe=self.recipe,
            widest=self.analysis.widest,
            surer=surer(self.analysis, len(self.seeds)),
            has_looks=self.look is not None,
            command=command,
        )

    @property
    def _against(self) -> str:
        """What a page compares the tricks with."""
        return f"the {AGAINST[self.mode]}"

    def _entries(self) -> list[Entry]:
        """Return what a page shows of each trick."""
        compared = [(line, self.lines[line.reference]) for line in self.lines if line.reference is not None]
        return [
            Entry.of(
                line, reference, self.difference(line), self.mode == "drop", "; ".join(self._said(line)), self.curves
            )
            for line, reference in compared
        ]

    def to_csv(self) -> str:
        """Return the table as CSV, with a line for each row and seed. Top-1 is from 0 to 1."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        names = ("row", "label", *(field.name for field in attrs.fields(Cell)), "params", "macs", *self._more_columns())
        writer.writerow(list(map(printable, names)))
        for at, (label, line) in enumerate(self._all_runs()):
            for cell in line.cells:
                values = (at, label, *attrs.astuple(cell), line.params, line.macs, *self._more_values(at))
                writer.writerow([printable(value) if isinstance(value, str) else value for value in values])
        return out.getvalue()

    def _all_runs(self) -> list[tuple[str, Line]]:
        """All rows that have runs, with their labels."""
        return [(line.label, line) for line in self.lines]

    def _more_columns(self) -> tuple[str, ...]:
        """The names of further columns of the CSV."""
        return ()

    def _more_values(self, row: int) -> tuple[int, ...]:
        """The values of a row in the further columns."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain JSON values. Top-1 is from 0 to 1."""
        lines = []
        for line in self.lines:
            change = self.difference(line)
            data = {
                **attrs.asdict(line),
                "statements": list(line.statements),
                "cells": [attrs.asdict(cell) for cell in line.cells],
                "top1_mean": line.mean,
                "top1_deviation": line.deviation,
                "difference": change and {**attrs.asdict(change), "within_noise": change.within_noise},
                "seconds_per_epoch": line.seconds_per_epoch,
                "peak_memory_bytes": line.peak_memory_bytes,
            }
            lines.append(data)
        return {
            "schema_version": 2,
            "title": self.title,
            "mode": self.mode,
            "recipe": self.recipe,
            "seeds": list(self.seeds),
            "confidence": CONFIDENCE,
            "until": self.look
            and {
                "half": self.look.until.half,
                "most_seeds": self.look.until.most,
                "look": self.look.number,
                "confidence": self.look.confidence,
                "is_last": self.look.is_last,
                "unsettled": list(self.unsettled),
            },
            "freedom": self.analysis.freedom,
            "answer": self.answer,
            "rows": lines,
            "holdout": self.report and self.report.to_dict(),
            "notes": self.notes(),
        }

    def to_json(self) -> str:
        """Return the result of `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


def _amount(count: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * size:  # three digits round up to this unit
            return f"{count / size:.3g} {unit}"
    return str(count)
