"""``recipe tricks``: show the vocabulary, from the docstrings of the tricks. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable

import click

from recipe.base.errors import fail
from recipe.base.printable import printable, printable_lines
from recipe.base.wording import listing, summary_line
from recipe.cli import completion
from recipe.cli.inputs import loaded, plugin_option, tell_broken, vocabulary
from recipe.explain.search import search
from recipe.explain.tricks import page
from recipe.plan.meant import meant
from recipe.plan.unsupported import unsupported
from recipe.plugins.trick import Trick
from recipe.plugins.vocabulary import DIRECTIVES, Key, Vocabulary, words_of


@click.command("tricks", short_help="List the tricks, or describe one.")
@click.argument("verb", required=False, shell_complete=completion.tricks)
@click.argument("name", required=False, shell_complete=completion.tricks)
@click.option("--search", "query", metavar="WORDS", help="List the tricks that match all of these words, best first.")
@plugin_option
def command(verb: str | None, name: str | None, query: str | None, plugins: tuple[str, ...]) -> None:
    """List the tricks, or describe one.

    Prints every trick in a line. With VERB, describes the tricks of that verb; with VERB and NAME, one trick:
    its syntax, its fields with their defaults, and its source. With --search, finds tricks by their words, by names
    that they have elsewhere, and by what their descriptions say.

    \b
    List all tricks, then describe one:
        recipe tricks
        recipe tricks lr warmup

    \b
    What is label smoothing called here?
        recipe tricks --search "label smoothing"
    """
    words = vocabulary(plugins)
    if query is not None:
        if verb is not None:
            raise click.UsageError("--search takes its words in quotes, and no VERB")
        _found(words, query)
        return
    if verb is not None and name is None and " " in verb.strip():
        verb, name = verb.split(maxsplit=1)  # one argument, as in a recipe
    if verb is None:
        _overview(words)
    elif verb in DIRECTIVES and name is None:
        click.echo(DIRECTIVES[verb])
    elif verb not in words.verbs():
        raise fail("E020", f"unknown verb `{verb}`", help=meant(verb, words, words.verbs(), before="recipe tricks "))
    elif name is not None and name not in (clauses := words.clauses(verb)):
        help = meant(
            name,
            words,
            clauses,
            f"its clauses are {listing(clauses)}" if clauses else "it has no clauses",
            verb=verb,
            before="recipe tricks ",
        )
        raise fail("E021", f"`{verb}` has no clause `{name}`", help=help)
    else:
        tricks, errors = loaded(words, [key for key in _of(words, verb) if name in (None, key[1])])
        if tricks:
            click.echo(printable_lines("\n\n".join(page(trick, package) for trick, package in tricks)))
        tell_broken(errors)
        click.get_current_context().exit(0 if tricks else 2)


def _found(words: Vocabulary, query: str) -> None:
    tricks, errors = loaded(words, words.keys())
    found = search((trick for trick, _ in tricks), query)
    if not found:
        first, _, after = query.strip().partition(" ")
        help = unsupported(first, after) or "run `recipe tricks` to list all tricks"
        raise fail("E020", f"no trick matches `{query}`", help=help)
    _list(found, max(len(trick.declared.word) for trick in found))
    tell_broken(errors)


def _list(tricks: Iterable[type[Trick]], width: int) -> None:
    for trick in tricks:
        click.echo(f"{trick.declared.word:<{width}}  {printable(summary_line(trick))}")


def _overview(words: Vocabulary) -> None:
    width = max(len(words_of(key)) for key in words.keys())  # noqa: SIM118
    tricks, errors = loaded(words, [key for verb in words.in_reading_order() for key in _of(words, verb)])
    _list((trick for trick, _ in tricks), width)
    for verb, text in DIRECTIVES.items():
        what = text.partition(": ")[2]
        click.echo(f"{verb:<{width}}  {what[0].upper()}{what[1:]}.")
    tell_broken([*errors, *(refused.error for refused in words.refused)])


def _of(words: Vocabulary, verb: str) -> list[Key]:
    return [key for key in words.keys() if key[0] == verb]  # noqa: SIM118
