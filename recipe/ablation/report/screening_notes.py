"""Sentences about a screening: its design, its best combination, and what confirmed that. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from recipe.ablation.report.answer import told
from recipe.ablation.report.confirmation import Confirmation
from recipe.ablation.report.effects import Effects
from recipe.ablation.report.findings import Best
from recipe.ablation.report.kept import Kept
from recipe.ablation.report.words import between, ends, percent, signed
from recipe.ablation.rows.combinations import Replaced, label_of
from recipe.ablation.statistics.results import CONFIDENCE, Line
from recipe.base.wording import plural

NOISE = "within noise"
"""The verdict of an effect that can't be told from noise."""

WORTH_SAYING = 1.05
"""How much wider than in the full design an interval is before a note reports it."""

MEANS = {
    3: "In a design of resolution 3, the effect of a trick may include interactions of other tricks.",
    4: "In a design of resolution 4, no effect includes an interaction of two tricks.",
}
"""What the resolution of the full design means."""


def answer_about(kept: Kept, half: float, more: int | None) -> str:
    """Return what the answer says about the effects next to a trick that is kept.

    Args:
        kept: The effects.
        half: How narrow all intervals should be.
        more: How many more runs of the whole screening make them so, or None if that isn't known.
    """
    verdicts = {effect.label: effect.verdict for effect in kept.found.by_size}
    said, runs = f"Runs {kept.where} are less noisy. In those, {told([*verdicts.items()])}", kept.runs_for(half)
    faded = [each.label for each in kept.whole.by_size if each.stands_out and verdicts.get(each.label) == NOISE]
    said += f". There, {', '.join(faded)} can't be told from noise." if faded else "."
    if more is not None and runs is not None and runs < more:
        to = f"to ±{100 * half:g} points"
        said += f" A screening of the others {kept.where}, {to}, would take about {plural(runs, 'run')}."
    return said


def about_kept(kept: Kept) -> str:
    """Return what the effects next to a trick that is kept are."""
    others, freedom = plural(len(kept.found.units), "other trick"), kept.found.analysis.freedom
    override = f"override the recipe with `{'; '.join(kept.statements)}`, and " if kept.statements else ""
    return (
        f"The effects {kept.where} are from {plural(kept.runs, 'run')}. With half of the combinations, they can't be "
        f"told from interactions of two of the {others}. Their {CONFIDENCE:.0%} intervals hold for these tricks "
        f"together, and use the noise of those runs, {plural(freedom, 'degree')} of freedom. To screen these tricks "
        f"{kept.where}, {override}study only them."
    )


def about_best(found: Effects, best: Best | None, kept: Kept | None) -> list[str]:
    """Return what the best combination is, and how to get it.

    Args:
        found: The effects in all runs.
        best: The combination.
        kept: The effects next to a trick that is kept, if they predict it.
    """
    if best is None:
        return []
    tried = "not tried" if best.row is None else f"tried as `{found.lines[best.row].label}`"
    top1 = f"top-1 {percent(best.estimate.mean)}"
    if best.estimate.single is not None:
        top1 += f" ({between(best.estimate.single)})"
    if not best.labels:
        return [f"Best predicted combination: none of the tricks, {top1}, {tried}."]
    gain = f"{signed(best.gain.mean)} points"
    if best.gain.single is not None:
        gain += f" ({ends(best.gain.single)})"
    by = f" by the runs {kept.where}" if kept else ""
    lines = [
        f"Best predicted combination{by}: {', '.join(best.labels)}. Predicted {top1}, {gain} from none of the tricks; "
        f"{tried}."
    ]
    effects = {each.label: each for each in (*found.all, *(kept.found.all if kept else ()))}
    noise = [each.label for each in effects.values() if each.label in best.labels and each.verdict == NOISE]
    if noise:
        lines[0] += f" It includes what is within noise: {', '.join(noise)}."
    return [*lines, f"To get it, override the recipe with: {'; '.join(best.statements) or 'nothing'}."]


def about_confirmation(found: Confirmation, short: str) -> list[str]:
    """Return what the confirmation measured. ``short``: the statements that only the screening has."""
    none, best = found.lines[:2]
    seeds = f"new seeds ({', '.join(str(cell.seed) for cell in best.cells)})"
    lines = lacking("diverged", "diverged", found.lines) + lacking("missing", "missing so far", found.lines)
    if (gain := found.gain) is None:
        return [f"The gain of the best combination has not been measured with {seeds}.", *lines]
    noise = "" if short else ", with the noise of the screening too"
    measured = f"{signed(gain.mean)} points" + (f" ({ends(gain.single)}{noise})" if gain.single else "")
    said = f"Measured with {seeds}: {measured} from none of the tricks, predicted "
    said += f"{signed(found.best.gain.mean)}. Top-1 {_measured(best)} instead of {_measured(none)}"
    said += " (mean ± sample standard deviation)." if best.deviation is not None else "."
    if found.is_confirmed is False:
        said += " The two gains differ by more than their noise explains."
    lines = [said, *lines]
    if short:
        pairs = zip(found.lines, found.predicted, strict=True)
        ranked = ", ".join(f"`{line.label}` {_measured(line)} ({100 * top1:.2f})" for line, top1 in pairs)
        lines.append(f"The confirmation is without `{short}`, which only the screening has.")
        if (rank := found.rank_correlation) is not None:
            lines.append(f"Top-1 at full length, and as predicted: {ranked}. Their rank correlation is {rank:.2f}.")
    return lines


def about_design(found: Effects, replaced: Sequence[Replaced]) -> list[str]:
    """Return what the design is, and what lost rows cost."""
    lines = [f"Design: {found.design.name}. {MEANS[found.design.resolution]}"]
    if found.design.resolution == 4 and is_aliased(found):
        lines.append("Combinations that are replaced or have no results add parts of some.")
    if replaced:
        lost = sum(each.row is None for each in replaced)
        lines.append(
            f"{plural(len(replaced), 'combination')} of the design, such as "
            f"`{label_of(found.units, replaced[0].on)}`, can't be trained, because "
            "tricks need, exclude or override each other; the nearest possible ones take their place"
            + (f", except for {lost} that nothing new can replace." if lost else ".")
        )
    empty = [f"`{line.label}`" for line in found.lines if not line.results]
    if empty and len(empty) < len(found.lines):
        lines.append(f"Effects are estimated without the rows that have no results: {', '.join(empty)}.")
    wide = [each for each in found.all if each.inflation is not None and each.inflation > WORTH_SAYING]
    if wide:
        named = ", ".join(f"{each.label} {each.inflation:.2f}" for each in wide)
        lines.append(f"Standard errors as multiples of those in the full design: {named}.")
    return lines


def is_aliased(found: Effects) -> bool:
    """Whether some effects include interactions."""
    return any(effect.aliases for effect in found.all)


def about_rows(found: Effects) -> list[str]:
    """Return what is unusual about rows."""
    said = Counter(note for line in found.lines if line.note for note in line.note.split("; "))
    lines = [f"In {plural(count, 'combination')}: {note}." for note, count in said.items()]
    return [*lines, *lacking("diverged", "diverged", found.lines)]


def _measured(line: Line) -> str:
    """Return the measured top-1 of a row."""
    return percent(line.mean) + ("" if line.deviation is None else f" ± {100 * line.deviation:.2f}")


def lacking(status: str, said: str, lines: Sequence[Line]) -> list[str]:
    """Return how many runs of each row have a status, ``said`` in words, unless none has."""
    counts = ((line, sum(cell.status == status for cell in line.cells)) for line in lines)
    return [f"{n} of {plural(len(line.needed), 'run')} of `{line.label}` {said}." for line, n in counts if n]
