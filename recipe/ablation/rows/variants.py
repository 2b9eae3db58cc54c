"""Turn a recipe into the rows of an ablation, with the tricks that each row turns on. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs

from recipe.base.caller import is_command, named, option
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

AGAINST = {"stack": "row above", "drop": "full recipe", "add": "baseline"}
"""What a row is compared with in each mode that compares rows."""

MODES = (*AGAINST, "screen")

STATED = ("file", "override")
"""Origins of values that the recipe itself states."""


@attrs.frozen
class Unit:
    """One or more tricks turned on and off together: a label, their words, and the statements that turn them on."""

    label: str
    words: tuple[str, ...]
    statements: tuple[str, ...]


@attrs.frozen
class Row:
    """A row of the table: a recipe, its label, and the index of the row it is compared with."""

    label: str
    sources: tuple[Source, ...] = attrs.field(repr=False)
    plan: Plan = attrs.field(repr=False)
    reference: int | None = None
    unit: Unit | None = None
    on: tuple[Unit, ...] = ()

    @property
    def gave_way(self) -> list[str]:
        """The words that are on in this row but overridden by a later one."""
        return [word for unit in self.on for word in unit.words if self.plan.find(word) is None]

    def seeded(self, seed: int) -> Plan:
        return bind([*self.sources, layer(f"{self.plan.maker('seed')} {seed}")], self.plan.vocabulary, data=True)


def layer(*statements: str) -> Source:
    """Return statements as a layer over a recipe."""
    return Source("<ablation>", "\n".join(statements), Path.cwd(), "override")


def units_of(plan: Plan, mode: str, over: Sequence[str]) -> tuple[Unit, ...]:
    """Return the units that ``over`` names, or every trick that the recipe itself states.

    A word belongs to one unit only, except with ``add``, which can compare several values of a trick.
    """
    if over:
        named, errors = [], list[Diagnostic]()
        for text in over:
            try:
                named.append(_named(plan, text))
            except RecipeError as error:
                errors += error.diagnostics
        if errors:
            raise RecipeError(*errors)
        names = Counter(name for unit in named for name in ((unit.label,) if mode == "add" else unit.words))
        if twice := sorted(name for name, count in names.items() if count > 1):
            help = "" if mode == "add" else "name each trick once, or use `add` to compare several values of a trick"
            raise fail("E124", f"`{twice[0]}` is named twice", help=help)
        return tuple(named)
    layers = [(each.source.name, each.source.text) for each in collect(plan.sources).layers]  # lowest first

    def place(use: Use) -> tuple[int, int]:
        assert use.span is not None
        return layers.index((use.span.source.name, use.span.source.text)), use.span.start

    stated = sorted((use for use in _stated(plan).values() if is_trick(use)), key=place)
    units = tuple(Unit(_short(use), (use.word,), (use.statement(),)) for use in stated)
    kept = tuple(unit for unit in units if _matters(plan, units, unit))
    if not kept:
        raise fail("E124", "the recipe states no tricks to study", help=f"name some: {_example()}")
    return kept


def _example() -> str:
    return '--over "tweak D" "augment mixup"' if is_command() else '`over=["tweak D", "augment mixup"]`'


def _stated(plan: Plan) -> dict[str, Use]:
    return {use.word: use for use in plan.uses if use.origin.kind in STATED}


def _short(use: Use) -> str:
    """Return a trick with the values that the recipe states, as written there."""
    origins = (use.origins[field.name] for field in use.fields)
    return " ".join([use.word, *(each.span.text for each in origins if each.kind in STATED and each.span)])


def is_trick(use: Use) -> bool:
    """Whether a use is more than a setting. An ablation changes settings only if they are named."""
    return not set(use.declared.writes) <= SETTINGS


def _named(plan: Plan, text: str) -> Unit:
    """Return the unit that one argument of `--over` names."""
    recipe, wrong = parse(Source("<over>", text, Path.cwd(), "override"))
    if wrong:
        raise RecipeError(*wrong)
    vocabulary = plan.vocabulary or Vocabulary.installed()
    words, statements = [], []
    for statement in recipe.statements:
        if statement.verb.text in DIRECTIVES:
            raise fail("E124", f"`{statement.verb.text}` is not a trick to study", statement.verb.span)
        for said in opened(statement, vocabulary):
            word = said.trick.declared.word
            if word == plan.maker("seed"):
                help = f"set the number of seeds with {option('--seeds')}"
                raise fail("E124", f"`{word}` is not a trick to study", said.words, help=help)
            words.append(word)
            use, given = plan.find(word), " ".join([word, *(item.span.text for item in said.items)])
            statements.append(use.statement() if use and not said.items else given)
    if not words:
        raise fail("E124", f"an argument of {named('--over')} is empty", help=f"name tricks: {_example()}")
    return Unit(" ".join(text.split()), tuple(words), tuple(statements))


def sources_of(plan: Plan, units: Sequence[Unit], on: Sequence[Unit]) -> tuple[Source, ...]:
    """Return the recipe's sources with layers that drop every unit and turn some on again, one layer each.

    A setting is not dropped. When it is off, it keeps the recipe's value.
    """
    words, stated = dict.fromkeys(word for unit in units for word in unit.words), _stated(plan)
    present = [word for word in words if word in stated and is_trick(stated[word])]
    verbs = [word for word in present if " " not in word]  # dropping a verb drops its clauses too
    off = [f"drop {word}" for word in present if word in verbs or word.split()[0] not in verbs]
    others = (use for use in stated.values() if use.declared.verb in verbs and use.declared.clause)
    off += [use.statement() for use in others if use.word not in words]
    return (*plan.sources, *([layer(*off)] if off else []), *(layer(*unit.statements) for unit in on))


def _matters(plan: Plan, units: Sequence[Unit], unit: Unit) -> bool:
    """Whether the recipe changes without a unit."""
    try:
        rest = bind(sources_of(plan, units, [u for u in units if u is not unit]), plan.vocabulary, data=True)
        return rest.digest != plan.digest
    except RecipeError:  # the row is invalid; the mode decides whether it is needed
        return True


def rows_of(plan: Plan, mode: str, over: Sequence[str]) -> tuple[Row, ...]:
    """Return the rows of an ablation of a plan, all bound. Raises `RecipeError` with the errors of all rows.

    ``stack`` adds one unit after another and compares each row with the one before. ``drop`` removes each unit from the
    full recipe and compares with that. ``add`` adds each unit to the baseline and compares with that.
    """
    if mode not in AGAINST:
        raise fail("E124", f"unknown mode `{mode}`", help=f"choose from {listing(MODES)}")
    units = units_of(plan, mode, over)
    first, sign = ("full recipe", "−") if mode == "drop" else ("baseline", "+")
    wanted: list[tuple[str, tuple[Unit, ...], int | None, Unit | None]]
    wanted = [(first, units if mode == "drop" else (), None, None)]
    for at, unit in enumerate(units):
        on = {"stack": units[: at + 1], "drop": (*units[:at], *units[at + 1 :]), "add": (unit,)}[mode]
        wanted.append((f"{sign} {unit.label}", on, at if mode == "stack" else 0, unit))
    rows, errors = [], list[Diagnostic]()
    for label, on, reference, turned in wanted:
        sources = sources_of(plan, units, on)
        try:
            rows.append(Row(label, sources, bind(sources, plan.vocabulary, data=True), reference, turned, on))
        except RecipeError as error:
            errors += of_row(label, error)
    if errors:
        raise RecipeError(*errors)
    return tuple(rows)


def laid_off(plan: Plan) -> tuple[str, ...]:
    """Return the words of the stated tricks that choose an epoch by the held-out images, which an ablation leaves out.

    Such a choice favors rows whose accuracy varies more from epoch to epoch.
    """
    choosing = [*(plan.makers.get("keep_by", ()) if plan.training.keep_by is not None else ()), *plan.hooked("stop")]
    return tuple(dict.fromkeys(use.word for use in choosing if use.stated))


def without(plan: Plan, words: Sequence[str]) -> Plan:
    """Return a plan without some of its stated tricks."""
    if not words:
        return plan
    return bind([*plan.sources, layer(*(f"drop {word}" for word in words))], plan.vocabulary, data=True)


def check_choices(rows: Sequence[Row]) -> None:
    """Raise `RecipeError` (E124) if the tricks to study choose an epoch by the held-out images."""
    for row in rows:
        if words := laid_off(row.plan):
            message = f"`{words[0]}` is not a trick to study: it chooses an epoch by the held-out images"
            help = f"remove it from {option('--over')}; an ablation compares rows by their last epoch"
            raise fail("E124", message, help=help)


def of_row(label: str, error: RecipeError) -> list[Diagnostic]:
    return [attrs.evolve(wrong, message=f"row `{label}`: {wrong.message}") for wrong in error.diagnostics]
