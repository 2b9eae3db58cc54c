"""From a recipe to the rows of its ablation: which tricks are on in which, and what each is compared with. No torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source
from recipe.base.wording import listing
from recipe.language.overlays import collect
from recipe.language.parser import parse
from recipe.plan.bind import bind
from recipe.plan.plan import Plan
from recipe.plan.resolve import opened
from recipe.plugins.slots import SETTINGS
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import DIRECTIVES, Vocabulary

MODES = ("stack", "drop", "add")


@attrs.frozen
class Unit:
    """What is turned on and off as one: its label, its words, and the statements that turn it on."""

    label: str
    words: tuple[str, ...]
    statements: tuple[str, ...]


@attrs.frozen
class Row:
    """A row of the table: a recipe, what it is called, and the place of the row that it is compared with."""

    label: str
    sources: tuple[Source, ...] = attrs.field(repr=False)
    plan: Plan = attrs.field(repr=False)
    reference: int | None = None
    unit: Unit | None = None
    on: tuple[Unit, ...] = ()

    @property
    def gave_way(self) -> list[str]:
        """The words that are on in this row, but that a later one takes the place of."""
        return [word for unit in self.on for word in unit.words if self.plan.find(word) is None]

    def seeded(self, seed: int) -> Plan:
        """The row's plan under a seed."""
        return bind([*self.sources, _layer(f"{self.plan.maker('seed')} {seed}")], self.plan.vocabulary, data=True)


def _layer(*statements: str) -> Source:
    return Source("<ablation>", "\n".join(statements), Path.cwd(), "override")


def units_of(plan: Plan, mode: str, over: Sequence[str]) -> tuple[Unit, ...]:
    """The units of an ablation: those that are named, else every trick that the recipe itself states.

    A word belongs to one unit, but in ``add``, where each is alone: several values of a trick can be compared there.
    Raises `RecipeError`: E124 where there is none, and whatever is wrong with those that are named.
    """
    if over:
        found, errors = [], list[Diagnostic]()
        for text in over:
            try:
                found.append(_named(plan, text))
            except RecipeError as error:
                errors += error.diagnostics
        if errors:
            raise RecipeError(*errors)
        said = [name for unit in found for name in ((unit.label,) if mode == "add" else unit.words)]
        if twice := sorted({name for name in said if said.count(name) > 1}):
            help = "" if mode == "add" else "each trick belongs to one row; `add` takes several values of one"
            raise fail("E124", f"`{twice[0]}` is named twice", help=help)
        return tuple(found)
    stated = [use for use in plan.uses if use.origin.kind in ("file", "override") and _is_trick(use)]
    layers = [(layer.source.name, layer.source.text) for layer in collect(plan.sources).layers]  # from below
    stated.sort(key=lambda use: _place(use, layers))
    units = tuple(Unit(_short(use), (use.word,), (use.statement(),)) for use in stated)
    kept = tuple(unit for unit in units if _matters(plan, units, unit))
    if not kept:
        raise fail("E124", "the recipe states no trick to study", help='name some: --over "tweak D" "augment mixup"')
    return kept


def _place(use: Use, layers: list[tuple[str, str]]) -> tuple[int, int]:
    """Where a trick is stated: the number of its layer, and the place in it."""
    assert use.span is not None
    return layers.index((use.span.source.name, use.span.source.text)), use.span.start


def _short(use: Use) -> str:
    """A trick with the values that the recipe states, as it writes them."""
    stated = (use.origins[field.name] for field in use.declared.fields)
    spans = [origin.span for origin in stated if origin.kind in ("file", "override")]
    return " ".join([use.word, *(span.text for span in spans if span is not None)])


def _is_trick(use: Use) -> bool:
    """Whether it is more than a setting, which an ablation leaves as it is unless it is named."""
    return not set(use.declared.writes) <= SETTINGS


def _named(plan: Plan, text: str) -> Unit:
    """The unit that one argument of `--over` names."""
    recipe, wrong = parse(Source("<over>", text, Path.cwd(), "override"))
    if wrong:
        raise RecipeError(*wrong)
    vocabulary = plan.vocabulary or Vocabulary.installed()
    words, statements = [], []
    for statement in recipe.statements:
        if statement.verb.text in DIRECTIVES:
            raise fail("E124", f"`{statement.verb.text}` is no trick to study", statement.verb.span)
        for one in opened(statement, vocabulary):
            word, use = one.trick.declared.word, plan.find(one.trick.declared.word)
            if word == plan.maker("seed"):
                raise fail(
                    "E124", f"`{word}` is no trick to study", one.words, help="`--seeds` says how many there are"
                )
            words.append(word)
            given = " ".join([word, *(item.span.text for item in one.items)])
            statements.append(use.statement() if use and not one.items else given)
    if not words:
        raise fail("E124", "one of those named is empty", help='such as --over "tweak D" "augment mixup"')
    return Unit(" ".join(text.split()), tuple(words), tuple(statements))


def _sources(plan: Plan, units: Sequence[Unit], on: Sequence[Unit]) -> tuple[Source, ...]:
    """The recipe's sources, over which every unit is taken out and some are laid on again, each a layer."""
    off = _off(plan, dict.fromkeys(word for unit in units for word in unit.words))
    layers = [_layer(*off)] if off else []
    return (*plan.sources, *layers, *(_layer(*unit.statements) for unit in on))


def _off(plan: Plan, words: Collection[str]) -> list[str]:
    """The statements that take out those of some words that the recipe states.

    A setting stays, which is off as the recipe says it.
    """
    stated = {use.word: use for use in plan.uses if use.origin.kind in ("file", "override")}
    present = [word for word in words if word in stated and _is_trick(stated[word])]
    verbs = [word for word in present if " " not in word]  # to drop a verb takes out its clauses too
    drops = [f"drop {word}" for word in present if word in verbs or word.split()[0] not in verbs]
    others = (use for use in stated.values() if use.declared.verb in verbs and use.declared.clause)
    return [*drops, *(use.statement() for use in others if use.word not in words)]


def _matters(plan: Plan, units: Sequence[Unit], unit: Unit) -> bool:
    """Whether the recipe is another one without a unit."""
    try:
        rest = bind(_sources(plan, units, [u for u in units if u is not unit]), plan.vocabulary, data=True)
        return rest.digest != plan.digest
    except RecipeError:  # that row can't be; whether it is wanted depends on the mode
        return True


def rows_of(plan: Plan, mode: str, over: Sequence[str]) -> tuple[Row, ...]:
    """The rows of an ablation of a plan, all bound; every row that can't be is told at once.

    ``stack`` adds one unit after the other, each row compared with the one before; ``drop`` takes each out of all,
    compared with all; ``add`` adds each to none, compared with none.
    """
    if mode not in MODES:
        raise fail("E124", f"there is no mode `{mode}`", help=f"there are {listing(MODES)}")
    units = units_of(plan, mode, over)
    wanted: list[tuple[str, tuple[Unit, ...], int | None, Unit | None]]
    if mode == "stack":
        wanted = [("baseline", (), None, None)]
        wanted += [(f"+ {unit.label}", units[: at + 1], at, unit) for at, unit in enumerate(units)]
    elif mode == "drop":
        wanted = [("full recipe", units, None, None)]
        wanted += [(f"− {unit.label}", tuple(u for u in units if u is not unit), 0, unit) for unit in units]
    else:
        wanted = [("baseline", (), None, None), *((f"+ {unit.label}", (unit,), 0, unit) for unit in units)]
    rows, errors = [], list[Diagnostic]()
    for label, on, reference, unit in wanted:
        sources = _sources(plan, units, on)
        try:
            rows.append(Row(label, sources, bind(sources, plan.vocabulary, data=True), reference, unit, on))
        except RecipeError as error:
            errors += [attrs.evolve(one, message=f"row `{label}`: {one.message}") for one in error.diagnostics]
    if errors:
        raise RecipeError(*errors)
    return tuple(rows)
