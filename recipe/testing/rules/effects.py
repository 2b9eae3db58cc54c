"""What is held of the effect of a trick: it shows, it repeats, and it can be taken back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from recipe.base.errors import RecipeError
from recipe.compare.model import Difference
from recipe.compiler.summary import ProgramSummary
from recipe.plugins.calling import call_hook
from recipe.plugins.fields import Field
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case, Harness
from recipe.testing.inputs import ARGUMENTS, Batch, seeded
from recipe.testing.trick_under_test import TrickUnderTest

FEW = 2
"""Pairs of values that are tried in further company."""

TOLERANCE = 1e-5
"""Values in [0, 1] that are computed in batches of other sizes may be rounded otherwise."""


def fields(subject: TrickUnderTest) -> None:
    """Two recipes that differ in the trick, or in one of its fields, come to other weights, metrics or graphs.

    Settings are no outcome. Where a pair of values shows nothing, others are tried, and recipes in other company.
    """
    bench, word = subject.bench, subject.word
    skipped = [bench.elsewhere[word]] if word in bench.elsewhere else []
    if not skipped and not subject.shows:
        raise Unmet(f"`{subject.statement()}` changes nothing that comes of a training; {_company(word)}")
    for field in subject.declared.fields:
        name = f"{word} {field.word}"
        if name in bench.elsewhere:
            skipped.append(f"`{name}`: {bench.elsewhere[name]}")
            continue
        try:
            _field(subject, field, name)
        except Skipped as reason:
            skipped.append(str(reason))
    if skipped:
        raise Skipped("; ".join(skipped))


def _field(subject: TrickUnderTest, field: Field, name: str) -> None:
    tried = []
    first, *others = subject.cases(field)
    for case in dict.fromkeys([first, subject.home, *others]):
        for pair in subject.pairs(field)[: None if case in (first, subject.home) else FEW]:
            try:
                outcomes = [subject.bench.outcome(case.over(subject.statement(field.name, value))) for value in pair]
            except RecipeError:
                continue  # this company does not go with these values
            tried.append(pair)
            if outcomes[0] != outcomes[1]:
                return
    if not tried:
        raise Unmet(f"no two values of `{name}` can be trained with; {_company(name)}")
    values = ", ".join(dict.fromkeys(" and ".join(pair) for pair in tried))
    raise Unmet(f"`{name}` has no effect: trainings with {values} come to the same; {_company(name)}")


def _company(name: str) -> str:
    return (
        f"use it, or leave it out; where it shows in some company alone, name that: "
        f'`--company "{name}=STATEMENTS"`, or `company` from Python and pytest'
    )


def reversible(subject: TrickUnderTest) -> None:
    """The difference that a trick makes mirrors the one of leaving it out, and `drop` leaves no trace of it."""
    if subject.overrides("build"):
        raise Skipped("a recipe without its model is none")
    help = "a hook keeps nothing, and its result follows from its arguments"
    bench, bare = subject.bench, _bare(subject)
    within = bare.over(subject.statement())
    stock = bench.facts(bare)
    forth = _difference(bench, bare, stock, within, bench.facts(within, fresh=True))
    back = _difference(bench, within, bench.facts(within, fresh=True), bare, stock)
    if wrong := _unlike(forth.mirrored(), back):
        raise Unmet(f"with `{within}` and without it differ in other {wrong} one way than the other; {help}")
    dropped = within.over(f"drop {subject.word}")
    if bench.plan(dropped).digest != bench.plan(bare).digest:
        raise Unmet(f"`drop {subject.word}` over `{within}` does not give the plan of a recipe without it")
    if bench.facts(dropped) != stock:
        raise Unmet(f"`drop {subject.word}` over `{within}` does not give the graph of a recipe without it; {help}")


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
    parts = {"words": "words", "graph": "operations", "costs": "costs", "weights": "tensors", "settings": "settings"}
    return " and ".join(name for part, name in parts.items() if getattr(mirrored, part) != getattr(back, part))


def deterministic(subject: TrickUnderTest) -> None:
    """The same training twice has the same bits, whatever global random numbers were drawn before.

    An image's box, augmentation and mixture depend neither on the rest of its batch nor on its place there, nor on
    global random numbers, and leave those as they were. Partners stay together.
    """
    help = "take randomness from `Draws` alone, and keep nothing between calls"
    first = subject.bench.outcome(subject.within)
    for hook, group in (("crop_box", 1), ("augment", 1), ("mix", 2)):
        if subject.overrides(hook):
            _alone(subject, hook, group, help)
    with seeded(1):
        if subject.bench.outcome(subject.within, fresh=True) != first:
            raise Unmet(f"`{subject.within}`, trained twice, differs; {help}")


def _alone(subject: TrickUnderTest, hook: str, group: int, help: str) -> None:
    """Compare a whole batch with its parts and with another order, in groups of images that stay together."""
    name = f"`{hook}` of `{subject.word}`"

    def ask(places: list[int]) -> list[Any]:
        result = call_hook(subject.use, hook, *ARGUMENTS[hook](Batch(subject.word, places=places)))
        return [np.asarray(part) for part in (result if hook == "mix" else [result])]

    whole = list(range(Batch(subject.word).count))
    with seeded(2):
        before = _state()
        expected = ask(whole)
        if _state() != before:
            raise Unmet(f"{name} draws global random numbers; {help}")
    with seeded(3):
        if not _near(ask(whole), expected):
            raise Unmet(f"{name}, asked twice, differs; {help}")
    half, groups = len(whole) // 2, [whole[start : start + group] for start in range(0, len(whole), group)]
    orders = {
        "in halves": [whole[:half], whole[half:]],
        "alone": groups,
        "in another order": [[place for part in reversed(groups) for place in part]],
    }
    for how, parts in orders.items():
        back = np.argsort([place for part in parts for place in part])
        if not _near((np.concatenate(pieces)[back] for pieces in zip(*map(ask, parts), strict=True)), expected):
            raise Unmet(
                f"{name} makes something else of an image {how} than among the others of its batch; "
                "let what becomes of an image follow from it and its draws"
            )


def _near(arrays: Iterable[Any], expected: Iterable[Any]) -> bool:
    return all(np.allclose(a, b, rtol=0, atol=TOLERANCE) for a, b in zip(arrays, expected, strict=True))


def _state() -> list[object]:
    return [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()]
