"""Checks of a trick's declaration: its texts, its relations to other tricks, and the plans that contain it."""

from __future__ import annotations

import inspect
import json
import sys

from recipe.base.errors import RecipeError
from recipe.base.wording import did_you_mean, summary_line
from recipe.explain.program import as_dict
from recipe.explain.tricks import page
from recipe.plugins.kinds import FilePath
from recipe.plugins.slots import EXCLUSIVE
from recipe.plugins.trick import HOOKS, Trick
from recipe.plugins.vocabulary import key_of, words_of
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case
from recipe.testing.isolated import Seen, look
from recipe.testing.trick_under_test import TrickUnderTest


def docstring(subject: TrickUnderTest) -> None:
    """Check that the class docstring is a sentence, that the module's starts with the syntax, and the trick's page."""
    first = summary_line(subject.trick)
    if not (first[:1].isupper() and first.endswith((".", "!", "?")) and " " in first):
        name = subject.trick.__name__
        raise Unmet(f"the docstring of `{name}` starts with “{first}”; make its first line one complete sentence")
    _syntax(subject)
    shown = page(subject.trick, subject.declared.package)
    missing = [field.word for field in subject.declared.fields if field.help not in shown]
    if missing or first not in shown:
        raise Unmet(f"the page of `recipe tricks {subject.word}` does not show {missing or first}")


def _syntax(subject: TrickUnderTest) -> None:
    """Check that the module docstring starts with the trick's syntax. With several tricks, each needs its own line."""
    module = sys.modules[subject.trick.__module__]
    own = {value for value in vars(module).values() if isinstance(value, type) and "declared" in vars(value)}
    lines = inspect.cleandoc(module.__doc__ or "").split("\n")
    if sum(issubclass(value, Trick) for value in own) == 1:
        lines = lines[:1]
    if not any(_names(line, subject.word) for line in lines):
        said = f"starts with “{lines[0]}”" if lines[0] else "is missing"
        help = f"start it with the syntax, a colon, and a description: “{subject.declared.syntax}: …”"
        raise Unmet(f"the docstring of the module `{module.__name__}` {said}; {help}")


def _names(line: str, word: str) -> bool:
    """Whether a line has the trick's words in order before a colon, starting with the verb.

    >>> _names("lr … step E…: divide the rate", "lr step"), _names("step the lr: divide it", "lr step")
    (True, False)
    """
    before, colon, after = line.partition(":")
    said, wanted = before.split(), word.split()
    rest = iter(said)
    return bool(colon and after.strip()) and said[:1] == wanted[:1] and all(part in rest for part in wanted)


def light(subject: TrickUnderTest) -> None:
    """Check that a recipe with the trick can be checked without importing torch or printing to standard output."""
    seen = _seen(subject)
    if seen.torch:
        by = f": {seen.by}" if seen.by else ""
        help = "import what needs torch inside the hooks, and under `if TYPE_CHECKING:` for annotations"
        raise Unmet(f"checking a recipe with `{subject.word}` imports torch, which takes seconds{by}; {help}")
    if seen.printed.strip():
        printed = seen.printed.strip()
        raise Unmet(f"`{subject.word}` prints to standard output, which is reserved for data: {printed!r}")


def _seen(subject: TrickUnderTest) -> Seen:
    """Return the observations about the trick from a separate process, which loads all tricks of the package."""
    bench = subject.bench
    if not bench.seen:
        bench.seen = look({word: _layers(TrickUnderTest(word, bench)) for word in bench.words}, bench.plugins)
    return bench.seen[subject.word]


def _layers(subject: TrickUnderTest) -> tuple[str, ...]:
    """Return the texts of a recipe with the trick and a model, or nothing if the trick's values can't be guessed."""
    try:
        case = _plain(subject)
    except (Skipped, RecipeError):
        return ()
    return case.layers if subject.bench.stock(case) else ("base module", *case.layers)


def _plain(subject: TrickUnderTest) -> Case:
    """Return a recipe with the trick, which may not be trainable."""
    return next(subject.cases()).over(subject.statement())


def canonical(subject: TrickUnderTest) -> None:
    """Check that the canonical text binds to an equal plan for every value tried, and that the plan is plain JSON.

    The digest must be the same in another process.
    """
    within, bench = subject.within, subject.bench
    statements = [subject.statement()]
    for field in subject.declared.fields:
        try:
            values = dict.fromkeys(value for pair in subject.pairs(field) for value in pair)
        except Skipped:
            continue
        statements += [subject.statement(field.name, value) for value in values]
    for statement in dict.fromkeys(statements):
        _binds_again(subject, statement)
    try:
        json.dumps(as_dict(bench.program(within, "meta"), "cpu"))
    except (TypeError, ValueError) as error:
        raise Unmet(f"`recipe explain --json` can't write `{within}` as JSON: {error}") from None
    there, plain = _seen(subject).digest, _plain(subject)
    if there is not None and there != bench.plan(plain).digest:
        raise Unmet(f"the plan of `{plain}` has a different digest in another process; use plain values only")


def _binds_again(subject: TrickUnderTest, statement: str) -> None:
    bench, case = subject.bench, subject.home.over(statement)
    try:
        plan = bench.plan(case)
    except RecipeError:
        return  # this value doesn't work with the other statements
    text = plan.canonical()
    try:
        again = bench.plan(Case((text,), ""))
    except RecipeError as error:
        raise Unmet(f"the canonical text of `{case}` does not bind:\n{error}") from None
    if (again, again.digest) != (plan, plan.digest):
        raise Unmet(f"the canonical text of `{case}` binds to a different plan:\n{text}")


def conflicts(subject: TrickUnderTest) -> None:
    """Check that a trick's hooks match the slots that it writes, and that its relations name existing tricks.

    A recipe must be rejected if it adds an excluded trick or another writer of the same exclusive slot, or lacks a
    trick that this one needs.
    """
    declared, word = subject.declared, subject.word
    for hook, about in HOOKS.items():
        if about.slots and subject.overrides(hook) and not {*about.slots} & {*declared.writes}:
            wanted = " or ".join(f'"{slot}"' for slot in about.slots)
            raise Unmet(f"`{word}` has the hook `{hook}` but writes {list(declared.writes)}; declare {wanted}")
    others = {words_of(key) for key in subject.bench.vocabulary.keys()} - {word}  # noqa: SIM118
    for relation in ("after", "needs", "excludes"):
        for other in getattr(declared, relation):
            if other not in others:
                help = did_you_mean(other, others, before="; ")
                raise Unmet(f"`{word}` declares {relation}=`{other}`, but no other trick has that name{help}")
    rivals = {other for other in others if _writes(subject, other) & {*declared.writes} & EXCLUSIVE.keys()}
    for other in sorted({*declared.excludes} | rivals):
        _conflict(subject, other)
    for need in declared.needs:
        if subject.bench.plan(Case()).find(need):
            continue  # every recipe has it
        if "E031" not in _codes(subject, Case().over(subject.statement())):
            raise Unmet(f"`{word}` needs `{need}`, but a recipe without it is not rejected (E031)")


def _writes(subject: TrickUnderTest, other: str) -> set[str]:
    """Return the slots that another trick writes, or none for a broken trick, which no recipe can use."""
    try:
        return {*subject.bench.vocabulary.load(*key_of(other)).declared.writes}
    except RecipeError:
        return set()


def _conflict(subject: TrickUnderTest, other: str) -> None:
    """Check that a recipe with both tricks is rejected. Both are in one layer, because a later layer replaces."""
    try:
        both = "; ".join(_forced(trick) for trick in (subject, TrickUnderTest(other, subject.bench)))
    except Skipped:
        return  # it requires a value that can't be made up
    codes = _codes(subject, Case((f"base module; {both}" if "base" not in both.split() else both,), ""))
    if "E030" not in codes:
        found = f"fails with {', '.join(codes)}" if codes else "binds"
        raise Unmet(f"`{subject.word}` together with `{other}` is not rejected (E030): the recipe {found}")


def _forced(subject: TrickUnderTest) -> str:
    """Return a trick as a statement. Required paths get a placeholder, since nothing opens them."""
    try:
        return subject.statement()
    except Skipped:
        required = [field for field in subject.declared.fields if field.required]
        if not all(isinstance(field.kind, FilePath) for field in required):
            raise
        return " ".join([subject.word, *(f'{field.word}="x"' for field in required)])


def _codes(subject: TrickUnderTest, case: Case) -> list[str]:
    try:
        subject.bench.plan(case)
    except RecipeError as error:
        return [diagnostic.code for diagnostic in error.diagnostics]
    return []
