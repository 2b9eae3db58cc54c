"""Collect the layers of a recipe: included files, the file itself, and the statements that override it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source, Span
from recipe.base.wording import did_you_mean, listing, shown_path
from recipe.language.ast import UNWRITABLE, Item, Recipe, Statement
from recipe.language.parser import parse
from recipe.language.recipe_input import read

MAX_INCLUDES = 16  # maximum nesting depth
MAX_INCLUDED = 101
"""Reading stops at this number of files, since files that include the next one twice double it at every level."""
MAX_TOTAL = {"KiB": 128, "statements": 2_000, "words": 20_000}
"""The most that a recipe can have in all, with its included files and the statements on top of it."""

DIALECTS = ("paper", "gluoncv", "torchvision")


@attrs.frozen
class Layer:
    """The statements of one source without its directives; ``drops`` are its ``drop VERB [NAME]`` statements."""

    source: Source
    statements: tuple[Statement, ...]
    drops: tuple[Statement, ...]


@attrs.define
class Layers:
    """All layers, lowest first, with the dialect they choose and the errors found so far."""

    dialect: str = "paper"
    layers: list[Layer] = attrs.field(factory=list)
    errors: list[Diagnostic] = attrs.field(factory=list)
    included: int = 0
    total: dict[str, float] = attrs.field(factory=lambda: dict.fromkeys(MAX_TOTAL, 0.0))

    @property
    def full(self) -> bool:
        """Whether the recipe is larger than a recipe can be, which is an error already."""
        return any(self.total[unit] > most for unit, most in MAX_TOTAL.items())

    def add(self, unit: str, number: float, span: Span) -> None:
        """Count a part of the recipe. Raises `RecipeError` (E005) if that is too much in all."""
        self.total[unit] += number
        if self.full:
            message = f"the recipe has more than {MAX_TOTAL[unit]:,} {unit} in all, with the files that it includes"
            raise fail("E005", message, span)


def collect(sources: Sequence[Source]) -> Layers:
    """Collect the layers of some sources, lowest first. Each source comes after the files that it includes."""
    layers = Layers()
    for source in sources:
        try:
            _collect(source, source.folder.resolve(), (), layers, Span(source, 0, 0))
        except RecipeError as error:
            layers.errors += error.diagnostics
    return layers


def _collect(source: Source, root: Path, trail: tuple[Path, ...], layers: Layers, span: Span) -> None:
    """Collect the layers of a source, which ``span`` includes. Raises `RecipeError` if the recipe gets too large."""
    if layers.full:
        return
    layers.add("KiB", len(source.text.encode("utf-8", "surrogatepass")) / 1024, span)
    recipe, errors = parse(source)
    layers.errors += errors
    layers.add("statements", len(recipe.statements), span)
    layers.add("words", sum(1 + len(statement.items) for statement in recipe.statements), span)
    trail = (*trail, source.path) if source.path else trail
    statements, drops, dialect, chosen = [], [], None, None
    for statement in recipe.statements:
        verb = statement.verb.text
        try:
            if verb == "include":
                if layers.included == MAX_INCLUDED or layers.full:
                    continue
                included = _include(statement, source, root, trail)
                layers.included += 1
                if layers.included == MAX_INCLUDED:
                    raise fail("E043", f"more than {MAX_INCLUDED - 1} files are included", statement.span)
                _collect(included, root, trail, layers, statement.span)
            elif verb == "drop":
                _check_drop(statement)
                drops.append(statement)
            elif verb == "dialect":
                if dialect is not None:
                    places = ((_head(dialect), "first stated here"),)
                    message = "`dialect` is stated twice"
                    raise fail("E028", message, _head(statement), others=places, help="remove one of them")
                dialect = statement
                chosen = _dialect(statement)
            else:
                statements.append(statement)
        except RecipeError as error:
            layers.errors += error.diagnostics
    if chosen is not None:  # set last: the file overrides everything that it includes, wherever the includes are
        layers.dialect = chosen
    layers.layers.append(Layer(source, tuple(statements), tuple(drops)))


def _head(statement: Statement) -> Span:
    """Return the span of a statement's verb and first item."""
    return statement.verb.span.to(statement.items[0].span) if statement.items else statement.verb.span


def _operands(statement: Statement, most: int, usage: str) -> tuple[Item, ...]:
    items = statement.items
    if not items:
        raise fail("E025", f"`{statement.verb.text}` needs a value", statement.span, help=usage)
    for item in items:
        if item.name is not None:
            raise fail("E022", f"`{statement.verb.text}` has no field `{item.name.text}`", item.span, help=usage)
    if len(items) > most:
        raise fail("E026", f"too many values for `{statement.verb.text}`", items[most].span, help=usage)
    return items


def _include(statement: Statement, source: Source, root: Path, trail: tuple[Path, ...]) -> Source:
    (item,) = _operands(statement, 1, 'write `include "other.recipe"`')
    word = item.value
    if word.kind != "string" or not word.value or UNWRITABLE.search(str(word.value)):
        raise fail("E023", f"`include` takes a path in quotes, not `{word.text}`", word.span)
    try:
        path = (source.folder / os.path.expanduser(str(word.value))).resolve()
    except (OSError, RuntimeError):  # circular symbolic links
        raise fail("E001", f"`{word.value}` can't be resolved: circular symbolic links", word.span) from None
    if not path.is_relative_to(root):
        message = f"`{word.value}` is outside the recipe's folder"
        raise fail("E042", message, word.span, help="move it to the recipe's folder or one of its subfolders")
    if path in trail:
        names = " → ".join([*(p.name for p in trail[trail.index(path) :]), path.name])
        raise fail("E041", f"circular include: {names}", word.span)
    if len(trail) > MAX_INCLUDES:
        raise fail("E043", f"includes are nested more than {MAX_INCLUDES} deep", word.span)
    return read(path, shown_path(path), word.span)


def _check_drop(statement: Statement) -> None:
    for item in _operands(statement, 2, "write `drop VERB` or `drop VERB NAME`"):
        if item.value.kind != "name":
            raise fail("E023", f"`drop` takes a verb and a name, not `{item.value.text}`", item.span)


def _dialect(statement: Statement) -> str:
    (item,) = _operands(statement, 1, f"choose one of {listing(DIALECTS)}")
    if item.value.text not in DIALECTS:
        help = did_you_mean(item.value.text, DIALECTS, f"choose one of {listing(DIALECTS)}")
        raise fail("E021", f"unknown dialect `{item.value.text}`", item.span, help=help)
    return item.value.text


def dialect_recipe(dialect: str) -> Recipe:
    """Return the statements that a dialect implies."""
    return parse(_implied(dialect, f"dialect {dialect}", "dialect"))[0]


def images_recipe() -> Recipe:
    """Return the statement that provides images for a recipe that names none."""
    return parse(_implied("_images", "default", "dialect"))[0]


def module_source() -> Source:
    """Return the lowest layer of a recipe that is compiled for the caller's own model."""
    return _implied("_module", "<module>", "default")


def module_statement() -> str:
    """Return the statement that names the caller's own model instead of a stock model."""
    return parse(module_source())[0].statements[0].span.text


def _implied(file: str, name: str, kind: str) -> Source:
    text = (resources.files("recipe.language") / "dialects" / f"{file}.recipe").read_text("utf-8")
    return Source(name, text, Path.cwd(), kind)
