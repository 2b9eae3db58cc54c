"""Checks of a trick's effect: it exists, it is reproducible, and it can be undone."""

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
"""The number of pairs of values to try in each further recipe."""

TOLERANCE = 1e-5
"""Allows for different rounding of values in [0, 1] at other batch sizes."""


def fields(subject: TrickUnderTest) -> None:
    """Check that the trick and each of its fields change the outcome: weights, metrics or graph.

    Settings don't count. If a pair of values has no effect, the check tries other pairs, then other recipes.
    """
    bench, word = subject.bench, subject.word
    skipped = [bench.elsewhere[word]] if word in bench.elsewhere else []
    if not skipped and not subject.shows:
        raise Unmet(f"`{subject.statement()}` has no effect on training; {_company(word)}")
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
                continue  # these values don't work with the other statements
            tried.append(pair)
            if outcomes[0] != outcomes[1]:
                return
    if not tried:
        raise Unmet(f"found no two values of `{name}` that can be trained; {_company(name)}")
    values = ", ".join(dict.fromkeys(" and ".join(pair) for pair in tried))
    raise Unmet(f"`{name}` has no effect: training with {values} produces the same result; {_company(name)}")


def _company(name: str) -> str:
    return (
        f"use it or remove it; if it only has an effect together with other statements, name them: "
        f'`--company "{name}=STATEMENTS"`, or `company` from Python and pytest'
    )


def reversible(subject: TrickUnderTest) -> None:
    """Check that adding the trick and removing it give mirrored differences, and that `drop` leaves no trace."""
    if subject.overrides("build"):
        raise Skipped("a recipe can't do without its model")
    help = "keep no state in hooks, and compute results from the arguments alone"
    bench, without = subject.bench, bare(subject)
    within = without.over(subject.statement())
    stock = bench.facts(without)
    forth = _difference(bench, without, stock, within, bench.facts(within, fresh=True))
    back = _difference(bench, within, bench.facts(within, fresh=True), without, stock)
    if wrong := _unlike(forth.mirrored(), back):
        raise Unmet(f"adding the trick in `{within}` and removing it change different {wrong}; {help}")
    dropped = within.over(f"drop {subject.word}")
    if bench.plan(dropped).digest != bench.plan(without).digest:
        raise Unmet(f"`drop {subject.word}` on top of `{within}` does not restore the plan of a recipe without it")
    if bench.facts(dropped) != stock:
        raise Unmet(f"`drop {subject.word}` on top of `{within}` does not restore the graph without it; {help}")


def bare(subject: TrickUnderTest) -> Case:
    """Return the trick's home recipe without the trick, and without the statements that it replaces."""
    case, bench = subject.home, subject.bench
    words = {use.word for use in bench.plan(case).uses if use.origin.kind in ("file", "override")}
    left = {use.word for use in bench.plan(subject.within).uses}
    gone = sorted(words - left) + [subject.word] * (subject.word in words)
    return case.over("; ".join(f"drop {word}" for word in gone))


def _difference(bench: Harness, a: Case, facts_a: ProgramSummary, b: Case, facts_b: ProgramSummary) -> Difference:
    return Difference.between("A", bench.plan(a), facts_a, "B", bench.plan(b), facts_b)


def _unlike(mirrored: Difference, back: Difference) -> str:
    """Return the parts in which two differences disagree, or an empty string if they are equal."""
    parts = {"words": "words", "graph": "operations", "costs": "costs", "weights": "tensors", "settings": "settings"}
    return " and ".join(name for part, name in parts.items() if getattr(mirrored, part) != getattr(back, part))


def deterministic(subject: TrickUnderTest) -> None:
    """Check that training twice gives the same bits, regardless of the global random state.

    An image's crop box, augmentation and mixing must not depend on the rest of its batch, on its position or on the
    global random state, and must leave that state unchanged. Partners stay together.
    """
    help = "take all randomness from `Draws`, and keep no state between calls"
    first = subject.bench.outcome(subject.within)
    for hook, group in (("crop_box", 1), ("augment", 1), ("mix", 2)):
        if subject.overrides(hook):
            _alone(subject, hook, group, help)
    with seeded(1):
        if subject.bench.outcome(subject.within, fresh=True) != first:
            raise Unmet(f"training `{subject.within}` twice gives different results; {help}")


def _alone(subject: TrickUnderTest, hook: str, group: int, help: str) -> None:
    """Compare a whole batch with its parts and with another order. Images of a group stay together."""
    name = f"`{hook}` of `{subject.word}`"

    def ask(places: list[int]) -> list[Any]:
        result = call_hook(subject.use, hook, *ARGUMENTS[hook](Batch(subject.word, places=places)))
        return [np.asarray(part) for part in (result if hook == "mix" else [result])]

    whole = list(range(Batch(subject.word).count))
    with seeded(2):
        before = _state()
        expected = ask(whole)
        if _state() != before:
            raise Unmet(f"{name} uses the global random number generators; {help}")
    with seeded(3):
        if not _near(ask(whole), expected):
            raise Unmet(f"{name} returns different results when called twice; {help}")
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
                f"{name} changes an image differently {how} than in the whole batch; "
                "compute each image from its own pixels and draws"
            )


def _near(arrays: Iterable[Any], expected: Iterable[Any]) -> bool:
    return all(np.allclose(a, b, rtol=0, atol=TOLERANCE) for a, b in zip(arrays, expected, strict=True))


def _state() -> list[object]:
    return [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()]
