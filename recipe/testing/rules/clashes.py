"""``clashes``: a trick says what it touches, so that others who touch it too are told."""

from __future__ import annotations

from recipe.base.errors import RecipeError
from recipe.base.wording import did_you_mean
from recipe.plugins.fields import FilePath
from recipe.plugins.slots import EXCLUSIVE
from recipe.plugins.trick import HOOKS
from recipe.plugins.vocabulary import key_of, words_of
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case
from recipe.testing.trick_under_test import TrickUnderTest, stated


def clashes(subject: TrickUnderTest) -> None:
    """The hooks of a trick go with the slots that it writes, and its relations name tricks that there are.

    What it excludes, what it needs, and who else writes an exclusive slot of its own, is an error of a recipe.
    """
    declared = subject.declared
    for hook, about in HOOKS.items():
        if about.slots and subject.overrides(hook) and not set(about.slots) & set(declared.writes):
            wanted = " or ".join(f'"{slot}"' for slot in about.slots)
            raise Unmet(f"`{subject.word}` has the hook `{hook}` and writes {list(declared.writes)}; declare {wanted}")
    known = {words_of(key) for key in subject.vocabulary.keys()}  # noqa: SIM118
    for relation in ("after", "needs", "excludes"):
        for word in getattr(declared, relation):
            if word not in known or word == subject.word:
                help = did_you_mean(word, known - {subject.word}, before="; ")
                raise Unmet(f"`{subject.word}` declares {relation}=`{word}`, which is no other trick{help}")
    for other in sorted({*declared.excludes, *_rivals(subject, known)}):
        _clash(subject, other)
    for need in declared.needs:
        if subject.bench.plan(Case()).find(need):
            continue  # every recipe has it
        if "E031" not in _codes(subject, Case().over(subject.statement())):
            raise Unmet(f"`{subject.word}` without `{need}`, which it needs, is no error (E031)")


def _rivals(subject: TrickUnderTest, known: set[str]) -> set[str]:
    """The other tricks that write an exclusive slot of this one's."""
    mine = set(subject.declared.writes) & EXCLUSIVE.keys()
    found = set()
    for word in known - {subject.word}:
        try:
            if mine & set(subject.vocabulary.load(*key_of(word)).declared.writes):
                found.add(word)
        except RecipeError:
            continue  # one that is broken can't be used
    return found


def _clash(subject: TrickUnderTest, other: str) -> None:
    """See that a recipe with both is refused; in one layer, as a later one would replace an earlier."""
    try:
        both = "; ".join(_forced(subject, word) for word in (subject.word, other))
    except Skipped:
        return  # another recipe would have to be named
    codes = _codes(subject, Case((f"base module; {both}" if "base" not in both.split() else both,), ""))
    if "E030" not in codes:
        raise Unmet(f"`{subject.word}` beside `{other}` is no error (E030); a recipe says {codes or 'nothing'}")


def _forced(subject: TrickUnderTest, word: str) -> str:
    """A trick as a statement; a path that it requires may name anything, as it is not followed."""
    trick = subject.vocabulary.load(*key_of(word))
    try:
        return stated(trick, subject.bench)
    except Skipped:
        required = [field for field in trick.declared.fields if field.required]
        if not all(isinstance(field.kind, FilePath) for field in required):
            raise
        return " ".join([word, *(f'{field.word}="x"' for field in required)])


def _codes(subject: TrickUnderTest, case: Case) -> list[str]:
    try:
        subject.bench.plan(case)
    except RecipeError as error:
        return [diagnostic.code for diagnostic in error.diagnostics]
    return []
