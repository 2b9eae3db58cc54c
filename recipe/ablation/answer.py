"""The answer of an ablation in a few sentences: which tricks help, which hurt, and what it takes to know more."""

from __future__ import annotations

from collections.abc import Sequence

from recipe.base.wording import plural

RESOLVED = 0.005
"""The difference in top-1 that an ablation should be able to resolve: half a point."""

MOST_NAMED = 6
"""Up to this many tricks are named in a sentence."""


def answered(verdicts: Sequence[tuple[str, str | None]], seeds: int, needed: int | None, rows: int) -> str:
    """Return the sentences.

    Args:
        verdicts: The tricks and the verdicts of their estimates, or None for one that the results don't determine.
        seeds: The number of seeds.
        needed: How many seeds would make all intervals as narrow as ± `RESOLVED`, or None if that isn't known.
        rows: The number of rows, each of which is trained under each seed.
    """
    known = [verdict for _, verdict in verdicts if verdict is not None]
    if not known:
        return "Too few runs have finished to tell what any trick does."
    if not any(known):
        return "These runs don't show any noise, so they can't tell which tricks help. More seeds or images may."
    told = [_told(verdicts, "helps", "help"), _told(verdicts, "hurts", "hurt")]
    sentences = [f"Of {plural(len(verdicts), 'trick')}, {told[0]}, and {told[1]}."]
    if unknown := sum(verdict not in ("helps", "hurts") for _, verdict in verdicts):
        sentences.append(f"{'One' if unknown == 1 else unknown} can't be told from noise.")
    if needed is not None and needed > seeds:
        runs = plural((needed - seeds) * rows, "more run")
        sentences.append(f"To tell effects of ±{100 * RESOLVED:g} points takes about {runs} ({needed} seeds).")
    return " ".join(sentences)


def _told(verdicts: Sequence[tuple[str, str | None]], singular: str, several: str) -> str:
    labels = [label for label, verdict in verdicts if verdict == singular]
    names = f" ({', '.join(labels)})" if 0 < len(labels) <= MOST_NAMED else ""
    return f"{len(labels) or 'none'} {singular if len(labels) == 1 else several}{names}"
