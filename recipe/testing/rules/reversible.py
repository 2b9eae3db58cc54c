"""``reversible``: what a trick does can be told and taken back."""

from __future__ import annotations

from recipe.compare.model import Difference
from recipe.compiler.summary import ProgramSummary
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case, Harness
from recipe.testing.trick_under_test import TrickUnderTest


def reversible(subject: TrickUnderTest) -> None:
    """The difference that a trick makes mirrors the one of leaving it out, and `drop` leaves no trace of it."""
    if subject.overrides("build"):
        raise Skipped("a recipe without its model is none")
    bench, bare = subject.bench, _bare(subject)
    within = bare.over(subject.statement())
    stock = bench.facts(bare)
    forth = _difference(bench, bare, stock, within, bench.facts(within, fresh=True))
    back = _difference(bench, within, bench.facts(within, fresh=True), bare, stock)
    if wrong := _unlike(forth.mirrored(), back):
        raise Unmet(f"with `{within}` and without it differ in other {wrong} one way than the other; {_HELP}")
    dropped = within.over(f"drop {subject.word}")
    if bench.plan(dropped).digest != bench.plan(bare).digest:
        raise Unmet(f"`drop {subject.word}` over `{within}` does not give the plan of a recipe without it")
    if bench.facts(dropped) != stock:
        raise Unmet(f"`drop {subject.word}` over `{within}` does not give the graph of a recipe without it; {_HELP}")


_HELP = "a hook keeps nothing, and its result follows from its arguments"


def _bare(subject: TrickUnderTest) -> Case:
    """The home of a trick without it, and without what it takes the place of."""
    case, bench = subject.home, subject.bench
    words = {use.word for use in bench.plan(case).uses if use.origin.kind in ("file", "override")}
    left = {use.word for use in bench.plan(subject.within).uses}
    gone = sorted(words - left) + [subject.word] * (subject.word in words)
    return case.over("; ".join(f"drop {word}" for word in gone))


def _difference(bench: Harness, a: Case, facts_a: ProgramSummary, b: Case, facts_b: ProgramSummary) -> Difference:
    return Difference.between("A", bench.plan(a), facts_a, "B", bench.plan(b), facts_b)


def _unlike(mirrored: Difference, back: Difference) -> str:
    """What two differences, which should be the same, do not agree in; nothing where they do."""
    parts = {
        "words": (mirrored.words, back.words),
        "operations": (mirrored.graph, back.graph),
        "costs": (mirrored.costs, back.costs),
        "tensors": (mirrored.weights, back.weights),
        "settings": (mirrored.settings, back.settings),
    }
    return " and ".join(name for name, (one, other) in parts.items() if one != other)
