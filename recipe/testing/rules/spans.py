"""``spans``: a trick changes nothing outside of the part of a training to which a recipe limits it."""

from __future__ import annotations

from recipe.base.errors import RecipeError
from recipe.plugins.during import FROM, UNTIL
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case, Outcome
from recipe.testing.rules.effects import bare
from recipe.testing.trick_under_test import TrickUnderTest

ALWAYS = f"{FROM.word}=0 {UNTIL.word}=100%"
"""A span with every step."""

NEVER = f"{FROM.word}=99.9%"
"""A span that starts after the last step of every test recipe."""


def spans(subject: TrickUnderTest) -> None:
    """Check that a trick acts as usual in its span, and that training is the same as without it elsewhere.

    ``from=`` and ``until=`` limit any trick that acts step by step to a part of the training.
    """
    if not subject.declared.spans:
        raise Skipped("not all of its hooks act step by step, so a recipe can't limit it to a part of the training")
    bench = subject.bench
    if _outcome(subject, ALWAYS) != bench.outcome(subject.within):
        raise _changed(subject, ALWAYS, "with the trick")
    try:
        without = bench.outcome(bare(subject))
    except RecipeError:
        raise Skipped("its test recipe can't be trained without it") from None
    if _outcome(subject, NEVER) != without:
        raise _changed(subject, NEVER, "without the trick")


def _outcome(subject: TrickUnderTest, span: str) -> Outcome:
    case = _limited(subject, span)
    try:
        return subject.bench.outcome(case)
    except RecipeError as error:
        raise Unmet(f"`{case}` can't be trained, but the trick can without `{span}`:\n{error}") from None


def _limited(subject: TrickUnderTest, span: str) -> Case:
    return subject.home.over(f"{subject.statement()} {span}")


def _changed(subject: TrickUnderTest, span: str, how: str) -> Unmet:
    case = _limited(subject, span)
    return Unmet(f"`{case}` trains differently than {how}; keep no state in hooks, and change nothing outside of them")
