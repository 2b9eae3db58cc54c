"""``light``: checking a recipe with the trick stays quick and quiet."""

from __future__ import annotations

from recipe.base.errors import RecipeError
from recipe.plugins.vocabulary import key_of
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case
from recipe.testing.isolated import Job, Seen, look
from recipe.testing.trick_under_test import TrickUnderTest


def light(subject: TrickUnderTest) -> None:
    """To check a recipe with the trick imports no torch, and nothing goes to standard output."""
    found = seen(subject)
    if found.torch:
        help = "import it inside of the hooks, and for types under `if TYPE_CHECKING:`"
        raise Unmet(f"to check a recipe with `{subject.word}` imports torch, which takes seconds; {help}")
    if found.printed.strip():
        raise Unmet(f"`{subject.word}` prints to standard output, where data goes: {found.printed.strip()!r}")


def seen(subject: TrickUnderTest) -> Seen:
    """What a process of its own sees of the trick; one process looks at all tricks of the package."""
    bench = subject.bench
    if not bench.seen:
        jobs = [Job(word, _layers(TrickUnderTest(bench.vocabulary.load(*key_of(word)), bench))) for word in bench.words]
        bench.seen.update({one.word: one for one in look(jobs, bench.plugins)})
    return bench.seen[subject.word]


def plain(subject: TrickUnderTest) -> Case:
    """A recipe with the trick, whether or not it can be trained."""
    return next(subject.cases()).over(subject.statement())


def _layers(subject: TrickUnderTest) -> tuple[str, ...]:
    try:
        case = plain(subject)
    except (Skipped, RecipeError):
        return ()
    return case.layers if subject.bench.stock(case) else ("base module", *case.layers)
