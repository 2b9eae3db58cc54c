"""``fields``: nothing that a trick takes is read and ignored."""

from __future__ import annotations

from recipe.base.errors import RecipeError
from recipe.plugins.fields import Field
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.trick_under_test import TrickUnderTest

FEW = 2
"""Pairs of values that are tried in further company."""


def fields(subject: TrickUnderTest) -> None:
    """Two recipes that differ in the trick, or in one of its fields, come to other weights, metrics or graphs.

    Settings are no outcome. Where a pair of values shows nothing, others are tried, and recipes in other company.
    """
    bench, word = subject.bench, subject.word
    if word not in bench.elsewhere and not subject.shows:
        raise Unmet(f"`{subject.statement()}` changes nothing that comes of a training; {_help(word)}")
    skipped = []
    for field in subject.declared.fields:
        try:
            if f"{word} {field.word}" in bench.elsewhere:
                raise Skipped(f"`{word} {field.word}`: {bench.elsewhere[f'{word} {field.word}']}")
            _field(subject, field)
        except Skipped as reason:
            skipped.append(str(reason))
    if word in bench.elsewhere:
        skipped.insert(0, bench.elsewhere[word])
    if skipped:
        raise Skipped("; ".join(skipped))


def _field(subject: TrickUnderTest, field: Field) -> None:
    tried = []
    first, *others = subject.cases(field)
    for case in dict.fromkeys([first, subject.home, *others]):
        for pair in subject.pairs(field)[: None if case in (first, subject.home) else FEW]:
            try:
                found = [subject.bench.outcome(case.over(subject.statement(field.name, value))) for value in pair]
            except RecipeError:
                continue  # this company does not go with these values
            tried.append(pair)
            if found[0] != found[1]:
                return
    name = f"{subject.word} {field.word}"
    if not tried:
        raise Unmet(f"no two values of `{name}` can be trained with; {_help(name)}")
    values = ", ".join(dict.fromkeys(f"{one} and {other}" for one, other in tried))
    raise Unmet(f"`{name}` has no effect: trainings with {values} come to the same; {_help(name)}")


def _help(name: str) -> str:
    return (
        f"use it, or leave it out; where it shows in some company alone, name that: "
        f'`--company "{name}=STATEMENTS"`, or `company` from Python and pytest'
    )
