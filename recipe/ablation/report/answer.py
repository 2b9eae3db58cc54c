"""The answer of an ablation in a few sentences: which tricks help, which hurt, and how many runs would tell more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from recipe.ablation.statistics.analysis import MOST_SEEDS, Analysis
from recipe.base.wording import plural

RESOLVED = 0.005
"""The difference in top-1 that an ablation should be able to resolve: half a point."""

SURER = (0.01, 0.005, 0.0025)
"""The half-widths of intervals of which a page says what they take."""

MOST_NAMED = 6
"""Up to this many tricks are named in a sentence."""


@attrs.frozen
class Surer:
    """What it takes to make all intervals as narrow as ± ``half``."""

    half: float
    seeds: int | None
    """The number of seeds, or None for more than `MOST_SEEDS`."""
    runs: int
    """How many more runs that is. 0 if the intervals are as narrow."""
    seconds: float | None
    """How long their epochs take, one run after the other, or None if that isn't known."""


def surer(analysis: Analysis, seeds: int) -> list[Surer]:
    """Return what narrower intervals take, or nothing if that isn't known.

    Args:
        analysis: The estimates with the intervals.
        seeds: The number of seeds so far.
    """
    found = list[Surer]()
    for half in SURER:
        if (needed := analysis.seeds_for(half)) is not None and analysis.widest is not None:
            needed = seeds if (reached := analysis.widest <= half) else max(needed, seeds + 1)
            runs = 0 if reached else analysis.runs_for(needed)
            known = runs and needed < MOST_SEEDS
            seconds = analysis.seconds_for(needed) if known else None
            found.append(Surer(half, needed if needed < MOST_SEEDS else None, runs, seconds))
    return found


def answered(verdicts: Sequence[tuple[str, str | None]], seeds: int, half: float, needed: int | None, more: int) -> str:
    """Return the sentences.

    Args:
        verdicts: The tricks and the verdicts of their estimates: empty for one that has no interval, None for one that
            the results don't determine.
        seeds: The number of seeds.
        half: How narrow all intervals should be.
        needed: How many seeds would make them ± ``half``, or None if that isn't known.
        more: How many more runs that is.
    """
    if all(verdict is None for _, verdict in verdicts):
        return "Too few runs have finished to tell what any trick does."
    if not any(verdict for _, verdict in verdicts):
        return "Nothing is known about noise, so no trick can be told from it. That takes at least two seeds."
    sentences = [f"Of {plural(len(verdicts), 'trick')}, {told(verdicts)}."]
    counts = Counter(verdict for _, verdict in verdicts)
    rest = {
        "within noise": "can't be told from noise",
        "": "made no difference",
        None: f"{'has' if counts[None] == 1 else 'have'} no finished runs",
    }
    sentences += [f"{counts[verdict]} {what}." for verdict, what in rest.items() if counts[verdict]]
    if needed is not None and needed > seeds:
        runs = f"about {plural(more, 'more run')} ({plural(needed, 'seed')})"
        runs = runs if needed < MOST_SEEDS else f"more than {MOST_SEEDS:,} seeds"
        sentences.append(f"To narrow all intervals to ±{100 * half:g} points takes {runs}.")
    return " ".join(sentences)


def told(verdicts: Sequence[tuple[str, str | None]]) -> str:
    """Return which tricks help and which hurt, in words."""
    return f"{_named(verdicts, 'helps', 'help')}, and {_named(verdicts, 'hurts', 'hurt')}"


def _named(verdicts: Sequence[tuple[str, str | None]], singular: str, several: str) -> str:
    labels = [label for label, verdict in verdicts if verdict == singular]
    names = f" ({', '.join(labels)})" if 0 < len(labels) <= MOST_NAMED else ""
    return f"{len(labels) or 'none'} {singular if len(labels) == 1 else several}{names}"
