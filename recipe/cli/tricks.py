"""``recipe tricks``: the vocabulary, from the tricks' own docstrings, without torch."""

from __future__ import annotations

import inspect
import sys

import click

from recipe.api import Trick
from recipe.cli.inputs import plugin_option, vocabulary
from recipe.diagnostics import RecipeError, fail, listing, nearest, render
from recipe.fields import Field
from recipe.registry import DIRECTIVES, Vocabulary, words_of
from recipe.slots import reading_key


@click.command("tricks", short_help="Show the vocabulary.")
@click.argument("verb", required=False)
@click.argument("name", required=False)
@plugin_option
def command(verb: str | None, name: str | None, plugins: tuple[str, ...]) -> None:
    """Show the vocabulary: every trick in a line, the tricks of a VERB, or all about one trick."""
    words = vocabulary(plugins)
    if verb is not None and name is None and " " in verb.strip():
        verb, name = verb.split(maxsplit=1)  # as recipes write them, in one
    if verb is None:
        _overview(words)
    elif verb in DIRECTIVES and name is None:
        click.echo(DIRECTIVES[verb])
    elif verb not in words.verbs():
        near = nearest(verb, words.verbs())
        raise fail("E020", f"there is no verb `{verb}`", help=f"did you mean `{near}`?" if near else "")
    elif name is not None and name not in words.clauses(verb):
        near = nearest(name, words.clauses(verb))
        knows = f"it knows {listing(words.clauses(verb))}" if words.clauses(verb) else "it has no clauses"
        help = f"did you mean `{near}`?" if near else knows
        raise fail("E021", f"`{verb}` does not know `{name}`", help=help)
    else:
        keys = [key for key in words.keys() if key[0] == verb and (name is None or key[1] == name)]  # noqa: SIM118
        pages, failures = [], list[RecipeError]()
        for key in keys:
            try:
                pages.append(page(words.load(*key)))
            except RecipeError as error:
                failures.append(error)
        if pages:
            click.echo("\n\n".join(pages))
        _tell(failures)
        sys.exit(0 if pages else 2)


def _overview(words: Vocabulary) -> None:
    broken: list[RecipeError] = []
    width = max(len(words_of(key)) for key in words.keys())  # noqa: SIM118
    for verb in sorted({verb for verb, _ in words.keys()}, key=reading_key):  # noqa: SIM118
        for key in [key for key in words.keys() if key[0] == verb]:  # noqa: SIM118
            try:
                trick = words.load(*key)
            except RecipeError as error:
                broken.append(error)
                continue
            click.echo(f"{trick.declared.word:<{width}}  {_summary(trick)}")
    for verb, text in DIRECTIVES.items():
        summary = text.partition(": ")[2]
        click.echo(f"{verb:<{width}}  {summary[0].upper()}{summary[1:]}.")
    _tell([*broken, *(refused.error for refused in words.refused)])
    sys.exit(0)


def _tell(broken: list[RecipeError]) -> None:
    for failure in broken:
        click.echo("\n" + render(failure.diagnostics), err=True)


def _summary(trick: type[Trick]) -> str:
    return inspect.cleandoc(trick.__doc__ or "").split("\n")[0]


def page(trick: type[Trick]) -> str:
    """All about one trick: its syntax, docstrings, fields and relations."""
    declared = trick.declared
    lines = [declared.syntax, "", inspect.cleandoc(trick.__doc__ or "")]
    source = inspect.getmodule(trick)
    about = inspect.cleandoc(source.__doc__ or "") if source else ""
    first, _, more = about.partition("\n")
    lines += [line for text in (first.partition(". ")[2], more.strip()) if text for line in ("", text)]
    if declared.fields:
        lines += ["", "fields"]
    lines += [_line(field) for field in declared.fields]
    relations = [
        ("reads", declared.reads), ("writes", declared.writes), ("after", declared.after),
        ("needs", declared.needs), ("excludes", declared.excludes),
    ]  # fmt: skip
    lines += ["", *(f"{name:<8} {', '.join(words)}" for name, words in relations if words)]
    lines.append(f"package  {declared.package}")
    return "\n".join(lines)


def _line(field: Field) -> str:
    """One field: its word, what it is, what it takes, and what it is where it is left out."""
    if field.required:
        return f"  {field.word:<12} {field.help} (required)"
    default = "none" if field.default is None else field.kind.write(field.default)
    others = "".join(f"; {dialect}: {field.kind.write(value)}" for dialect, value in field.dialects.items())
    return f"  {field.word:<12} {field.help} ({field.kind.expects}; default {default}{others})"
