"""``canonical``: a recipe with the trick can be written down, and means the same when it is read again."""

from __future__ import annotations

import json

from recipe.base.errors import RecipeError
from recipe.explain.data import as_dict
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case
from recipe.testing.rules.light import plain, seen
from recipe.testing.trick_under_test import TrickUnderTest


def canonical(subject: TrickUnderTest) -> None:
    """The plan's canonical text binds to an equal plan, with every value of every field; the plan is plain JSON.

    In another process it has the same digest.
    """
    within, bench = subject.within, subject.bench
    statements = [subject.statement()]
    for field in subject.declared.fields:
        try:
            pairs = subject.pairs(field)
        except Skipped:
            continue
        values = dict.fromkeys(value for pair in pairs for value in pair)
        statements += [subject.statement(field.name, value) for value in values]
    for statement in dict.fromkeys(statements):
        _binds_again(subject, statement)
    shown = as_dict(bench.program(within, "meta"), "cpu")
    try:
        json.dumps(shown)
    except (TypeError, ValueError) as error:
        raise Unmet(f"what `recipe explain --json` shows of `{within}` is no JSON: {error}") from None
    there = seen(subject).digest
    if there is not None and there != bench.plan(plain(subject)).digest:
        raise Unmet(f"the plan of `{plain(subject)}` has another digest in another process; keep values plain")


def _binds_again(subject: TrickUnderTest, statement: str) -> None:
    bench, case = subject.bench, subject.home.over(statement)
    try:
        plan = bench.plan(case)
    except RecipeError:
        return  # a value that does not go with this company
    text = plan.canonical()
    try:
        again = bench.plan(Case((text,), ""))
    except RecipeError as error:
        raise Unmet(f"the canonical text of `{case}` does not bind:\n{error}") from None
    if (again, again.digest) != (plan, plan.digest):
        raise Unmet(f"the canonical text of `{case}` binds to another plan:\n{text}")
