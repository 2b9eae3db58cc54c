"""What is held of what a trick says of itself: its texts, its relations to others, and plans that have it."""

from __future__ import annotations

import inspect
import json
import sys

from recipe.base.errors import RecipeError
from recipe.base.wording import did_you_mean, summary_line
from recipe.explain.program import as_dict
from recipe.explain.tricks import page
from recipe.plugins.fields import FilePath
from recipe.plugins.slots import EXCLUSIVE
from recipe.plugins.trick import HOOKS, Trick
from recipe.plugins.vocabulary import key_of, words_of
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case
from recipe.testing.isolated import Seen, look
from recipe.testing.trick_under_test import TrickUnderTest


def docstring(subject: TrickUnderTest) -> None:
    """The class says in a sentence what it does, the module begins with the syntax, and the trick's page shows both."""
    first = summary_line(subject.trick)
    if not (first[:1].isupper() and first.endswith((".", "!", "?")) and " " in first):
        name = subject.trick.__name__
        raise Unmet(f"the docstring of `{name}` begins with “{first}”; let its first line be one whole sentence")
    _syntax(subject)
    shown = page(subject.trick, subject.declared.package)
    missing = [field.word for field in subject.declared.fields if field.help not in shown]
    if missing or first not in shown:
        raise Unmet(f"the page of `recipe tricks {subject.word}` does not show {missing or first}")


def _syntax(subject: TrickUnderTest) -> None:
    """See that a module's docstring begins with the syntax of its trick; with several, each has a line of its own."""
    module = sys.modules[subject.trick.__module__]
    own = {value for value in vars(module).values() if isinstance(value, type) and "declared" in vars(value)}
    lines = inspect.cleandoc(module.__doc__ or "").split("\n")
    if sum(issubclass(value, Trick) for value in own) == 1:
        lines = lines[:1]
    if not any(_names(line, subject.word) for line in lines):
        said = f"begins with “{lines[0]}”" if lines[0] else "is missing"
        help = f"let its first line be the syntax, a colon, and what it does: “{subject.declared.syntax}: …”"
        raise Unmet(f"the docstring of the module `{module.__name__}` {said}; {help}")


def _names(line: str, word: str) -> bool:
    """Whether a line is a syntax: the trick's words in their order, the verb first, before a colon.

    >>> _names("lr … step E…: divide the rate", "lr step"), _names("step the lr: divide it", "lr step")
    (True, False)
    """
    before, colon, after = line.partition(":")
    said, wanted = before.split(), word.split()
    rest = iter(said)
    return bool(colon and after.strip()) and said[:1] == wanted[:1] and all(part in rest for part in wanted)


def light(subject: TrickUnderTest) -> None:
    """To check a recipe with the trick imports no torch, and nothing goes to standard output."""
    seen = _seen(subject)
    if seen.torch:
        help = "import it inside of the hooks, and for types under `if TYPE_CHECKING:`"
        raise Unmet(f"to check a recipe with `{subject.word}` imports torch, which takes seconds; {help}")
    if seen.printed.strip():
        raise Unmet(f"`{subject.word}` prints to standard output, where data goes: {seen.printed.strip()!r}")


def _seen(subject: TrickUnderTest) -> Seen:
    """What a process of its own sees of the trick; one process looks at all tricks of the package."""
    bench = subject.bench
    if not bench.seen:
        bench.seen = look({word: _layers(TrickUnderTest(word, bench)) for word in bench.words}, bench.plugins)
    return bench.seen[subject.word]


def _layers(subject: TrickUnderTest) -> tuple[str, ...]:
    """The texts of a recipe with the trick, its model among them; none where its values can't be guessed."""
    try:
        case = _plain(subject)
    except (Skipped, RecipeError):
        return ()
    return case.layers if subject.bench.stock(case) else ("base module", *case.layers)


def _plain(subject: TrickUnderTest) -> Case:
    """A recipe with the trick, whether or not it can be trained."""
    return next(subject.cases()).over(subject.statement())


def canonical(subject: TrickUnderTest) -> None:
    """The plan's canonical text binds to an equal plan, with every value of every field; the plan is plain JSON.

    In another process it has the same digest.
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
        raise Unmet(f"what `recipe explain --json` shows of `{within}` is no JSON: {error}") from None
    there, plain = _seen(subject).digest, _plain(subject)
    if there is not None and there != bench.plan(plain).digest:
        raise Unmet(f"the plan of `{plain}` has another digest in another process; keep values plain")


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


def clashes(subject: TrickUnderTest) -> None:
    """The hooks of a trick go with the slots that it writes, and its relations name tricks that there are.

    What it excludes, what it needs, and who else writes an exclusive slot of its own, is an error of a recipe.
    """
    declared, word = subject.declared, subject.word
    for hook, about in HOOKS.items():
        if about.slots and subject.overrides(hook) and not {*about.slots} & {*declared.writes}:
            wanted = " or ".join(f'"{slot}"' for slot in about.slots)
            raise Unmet(f"`{word}` has the hook `{hook}` and writes {list(declared.writes)}; declare {wanted}")
    others = {words_of(key) for key in subject.bench.vocabulary.keys()} - {word}  # noqa: SIM118
    for relation in ("after", "needs", "excludes"):
        for other in getattr(declared, relation):
            if other not in others:
                help = did_you_mean(other, others, before="; ")
                raise Unmet(f"`{word}` declares {relation}=`{other}`, which is no other trick{help}")
    rivals = {other for other in others if _writes(subject, other) & {*declared.writes} & EXCLUSIVE.keys()}
    for other in sorted({*declared.excludes} | rivals):
        _clash(subject, other)
    for need in declared.needs:
        if subject.bench.plan(Case()).find(need):
            continue  # every recipe has it
        if "E031" not in _codes(subject, Case().over(subject.statement())):
            raise Unmet(f"`{word}` without `{need}`, which it needs, is no error (E031)")


def _writes(subject: TrickUnderTest, other: str) -> set[str]:
    """The slots that another trick writes; none for one that is broken, which no recipe can use."""
    try:
        return {*subject.bench.vocabulary.load(*key_of(other)).declared.writes}
    except RecipeError:
        return set()


def _clash(subject: TrickUnderTest, other: str) -> None:
    """See that a recipe with both is refused; in one layer, as a later one would replace an earlier."""
    try:
        both = "; ".join(_forced(trick) for trick in (subject, TrickUnderTest(other, subject.bench)))
    except Skipped:
        return  # another recipe would have to be named
    codes = _codes(subject, Case((f"base module; {both}" if "base" not in both.split() else both,), ""))
    if "E030" not in codes:
        raise Unmet(f"`{subject.word}` beside `{other}` is no error (E030); a recipe says {codes or 'nothing'}")


def _forced(subject: TrickUnderTest) -> str:
    """A trick as a statement; a path that it requires may name anything, as it is not followed."""
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
