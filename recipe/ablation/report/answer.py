"""The answer of an ablation in a few sentences: which tricks help, which hurt, and how many runs would tell more."""

from __future__ import annotations

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


def surer(analysis: Analysis, seeds: int) -> list[Surer]:
    """Return what narrower intervals take, or nothing if that isn't known.

    Args:
        analysis: The estimates with the intervals.
        seeds: The number of seeds so far.
    """
    found = list[Surer]()
    for half in SURER:
        if (needed := analysis.seeds_for(half)) is not None and analysis.widest is not None:
            needed = seeds if analysis.widest <= half else max(needed, seeds + 1)
            found.append(Surer(half, needed if needed < MOST_SEEDS else None, (needed - seeds) * analysis.rows))
    return found


def answered(verdicts: Sequence[tuple[str, str | None]], seeds: int, half: float, needed: int | None, rows: int) -> str:
    """Return the sentences.

    Args:
        verdicts: The tricks and the verdicts of their estimates: empty for one that has no interval, None for one that
            the results don't determine.
        seeds: The number of seeds.
        half: How narrow all intervals should be.
        needed: How many seeds would make them ± ``half``, or None if that isn't known.
        rows: The number of rows, each of which is trained under each seed.
    """
    if all(verdict is None for _, verdict in verdicts):
        return "Too few runs have finished to tell what any trick does."
    if not any(verdict for _, verdict in verdicts):
        return "Nothing is known about noise, so no trick can be told from it. That takes at least two seeds."
    told = [_told(verdicts, "helps", "help"), _told(verdicts, "hurts", "hurt")]
    sentences = [f"Of {plural(len(verdicts), 'trick')}, {told[0]}, and {told[1]}."]
    rest = (("within noise", "can't be told from noise"), ("", "made no difference"), (None, "lack finished runs"))
    for verdict, what in rest:
        if count := sum(other == verdict for _, other in verdicts):
            sentences.append(f"{count} {what}.")
    if needed is not None and needed > seeds:
        runs = f"about {plural((needed - seeds) * rows, 'more run')} ({plural(needed, 'seed')})"
        runs = runs if needed < MOST_SEEDS else f"more than {MOST_SEEDS:,} seeds"
        sentences.append(f"To narrow all intervals to ±{100 * half:g} points takes {runs}.")
    return " ".join(sentences)


def _told(verdicts: Sequence[tuple[str, str | None]], singular: str, several: str) -> str:
    labels = [label for label, verdict in verdicts if verdict == singular]
    names = f" ({', '.join(labels)})" if 0 < len(labels) <= MOST_NAMED else ""
    return f"{len(labels) or 'none'} {singular if len(labels) == 1 else several}{names}"
