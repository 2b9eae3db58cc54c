"""The page of the vocabulary, from the tricks themselves."""

from __future__ import annotations

from collections.abc import Iterator

from recipe.explain.tricks import RELATIONS, defaults, texts
from recipe.plugins.declared import OWN
from recipe.plugins.fields import Field
from recipe.plugins.trick import Trick
from recipe.plugins.vocabulary import DIRECTIVES, Vocabulary
from tests.docs.markdown import row

INTRO = """\
# Tricks

`recipe tricks VERB NAME` prints the entry of one trick, and `recipe tricks` lists all tricks, including those of
installed plugins. [Slots](../explanation/slots.md) order the tricks and detect conflicts. If the default of a field is
none, the field has no value unless the recipe sets one. A [span](language.md#spans) limits a trick to a part of the
training: `augment mixup 0.2 until=90%`.
"""
SPAN = " It can have a [span](language.md#spans)."
LONG = 200
"""The length of a list of words, in characters, that no longer fits into a table."""


def built_in() -> dict[str, list[type[Trick]]]:
    """Return the tricks of each verb, in reading order, with a verb's own trick first."""
    words = Vocabulary.installed()
    keys = [key for key in words.keys() if words.packages(key) == [OWN]]  # noqa: SIM118
    by_verb = {verb: [words.load(*key) for key in keys if key[0] == verb] for verb in words.in_reading_order()}
    found = {verb: tricks for verb, tricks in by_verb.items() if tricks}
    assert found, "the installation of recipe is out of date; run `pip install -e .`"
    return found


def page() -> str:
    verbs = built_in()
    parts = [INTRO, "\n".join(_contents(verb, tricks) for verb, tricks in verbs.items())]
    parts.append(f"- Directives: {', '.join(f'[{verb}](#{verb})' for verb in DIRECTIVES)}\n")
    for verb, tricks in verbs.items():
        parts.append(f"## {verb}\n")
        for trick in tricks:
            if trick.declared.clause is not None:
                parts.append(f"### {trick.declared.word}\n")
            parts += _entry(trick)
    for verb, text in DIRECTIVES.items():
        syntax, _, said = text.partition(": ")
        parts.append(f"## {verb}\n\n```text\n{syntax}\n```\n\n{said[0].upper()}{said[1:]}.\n")
    return "\n".join(parts)


def _contents(verb: str, tricks: list[type[Trick]]) -> str:
    clauses = [trick.declared.clause for trick in tricks if trick.declared.clause]
    links = ", ".join(f"[{clause}](#{verb}-{clause.lower()})" for clause in clauses)
    return f"- [{verb}](#{verb}){f': {links}' if links else ''}"


def _entry(trick: type[Trick]) -> Iterator[str]:
    declared = trick.declared
    yield f"```text\n{declared.syntax}\n```\n"
    yield from (f"{text}\n" for text in texts(trick))
    if declared.fields:
        yield "| field | meaning | values | default |\n|---|---|---|---|"
        yield from map(_row, declared.fields)
        yield ""
        for field in declared.fields:
            if len(field.kind.expects) > LONG:
                yield f"`{field.word}` is {field.kind.expects}.\n"
    relations = {relation: getattr(declared, relation) for relation in RELATIONS}
    said = [f"{name} {', '.join(f'`{word}`' for word in words)}" for name, words in relations.items() if words]
    yield f"Slots and order: {'; '.join(said)}.{SPAN * declared.spans}\n"


def _row(field: Field) -> str:
    values = field.kind.expects if len(field.kind.expects) <= LONG else "a name, see below"
    default = "required"
    if not field.required:
        default = "; ".join(
            f"{dialect + ': ' if dialect else ''}{value if value in ('none', field.unset) else f'`{value}`'}"
            for dialect, value in defaults(field).items()
        )
    return row((f"`{field.word}`", field.help, values, default))
