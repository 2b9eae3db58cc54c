"""From a source to its layers: files that are included, the file itself, and the statements laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source
from recipe.base.wording import did_you_mean, listing
from recipe.language.ast import UNWRITABLE, Item, Recipe, Statement
from recipe.language.parser import parse
from recipe.language.recipe_input import read

MAX_INCLUDES = 16  # how deep they nest
MAX_INCLUDED = 101
"""At so many files no more are read: files that include each other twice would double with every level."""

DIALECTS = ("paper", "gluoncv", "torchvision")


@attrs.frozen
class Layer:
    """The statements of one source, the directives taken out; ``drops`` are those of ``drop VERB [NAME]``."""

    source: Source
    statements: tuple[Statement, ...]
    drops: tuple[Statement, ...]


@attrs.define
class Layers:
    """All layers, the lowest first, with the dialect they chose and the errors met so far."""

    dialect: str = "paper"
    layers: list[Layer] = attrs.field(factory=list)
    errors: list[Diagnostic] = attrs.field(factory=list)
    included: int = 0


def collect(sources: Sequence[Source]) -> Layers:
    """The layers of some sources, later ones over earlier ones, with what they include below them."""
    layers = Layers()
    for source in sources:
        _collect(source, source.folder.resolve(), (), layers)
    return layers


def _collect(source: Source, root: Path, trail: tuple[Path, ...], layers: Layers) -> None:
    recipe, errors = parse(source)
    layers.errors += errors
    trail = (*trail, source.path) if source.path else trail
    statements, drops, dialect, chosen = [], [], None, None
    for statement in recipe.statements:
        verb = statement.verb.text
        try:
            if verb == "include":
                if layers.included == MAX_INCLUDED:
                    continue
                included = _include(statement, source, root, trail)
                layers.included += 1
                if layers.included == MAX_INCLUDED:
                    raise fail("E043", f"more than {MAX_INCLUDED - 1} files are included in all", statement.span)
                _collect(included, root, trail, layers)
            elif verb == "drop":
                _check_drop(statement)
                drops.append(statement)
            elif verb == "dialect":
                if dialect is not None:
                    places = ((dialect.span, "it is here"),)
                    message = "the dialect is given twice"
                    raise fail("E028", message, statement.span, others=places, help="leave one out")
                dialect = statement
                chosen = _dialect(statement)
            else:
                statements.append(statement)
        except RecipeError as error:
            layers.errors += error.diagnostics
    if chosen is not None:  # now, since the file lies over all that it includes, wherever it does so
        layers.dialect = chosen
    layers.layers.append(Layer(source, tuple(statements), tuple(drops)))


def _operands(statement: Statement, most: int, usage: str) -> tuple[Item, ...]:
    items = statement.items
    if not items:
        raise fail("E025", f"`{statement.verb.text}` needs something to act on", statement.span, help=usage)
    for item in items:
        if item.name is not None:
            raise fail("E022", f"`{statement.verb.text}` has no field `{item.name.text}`", item.span, help=usage)
    if len(items) > most:
        raise fail("E026", f"too much for `{statement.verb.text}`", items[most].span, help=usage)
    return items


def _include(statement: Statement, source: Source, root: Path, trail: tuple[Path, ...]) -> Source:
    (item,) = _operands(statement, 1, 'write `include "other.recipe"`')
    word = item.value
    if word.kind != "string" or not word.value or UNWRITABLE.search(str(word.value)):
        raise fail("E023", f"`include` takes a path in quotes, not `{word.text}`", word.span)
    try:
        path = (source.folder / str(word.value)).resolve()
    except (OSError, RuntimeError):  # a circle of symbolic links
        raise fail("E001", f"`{word.value}` leads nowhere: its symbolic links are a circle", word.span) from None
    if not path.is_relative_to(root):
        message = f"`{word.value}` lies outside of the recipe's folder"
        raise fail("E042", message, word.span, help="a recipe includes files of its own folder and the folders in it")
    if path in trail:
        names = " → ".join([*(p.name for p in trail[trail.index(path) :]), path.name])
        raise fail("E041", f"recipes include each other in a circle: {names}", word.span)
    if len(trail) > MAX_INCLUDES:
        raise fail("E043", f"includes are nested more than {MAX_INCLUDES} deep", word.span)
    shown = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
    return read(path, shown, word.span)


def _check_drop(statement: Statement) -> None:
    for item in _operands(statement, 2, "write `drop VERB` or `drop VERB NAME`"):
        if item.value.kind != "name":
            raise fail("E023", f"`drop` takes words, not `{item.value.text}`", item.span)


def _dialect(statement: Statement) -> str:
    (item,) = _operands(statement, 1, f"it takes {listing(DIALECTS)}")
    if item.value.text not in DIALECTS:
        help = did_you_mean(item.value.text, DIALECTS, f"it takes {listing(DIALECTS)}")
        raise fail("E021", f"there is no dialect `{item.value.text}`", item.span, help=help)
    return item.value.text


def dialect_recipe(dialect: str) -> Recipe:
    """The statements that a dialect implies."""
    return parse(_implied(dialect, f"dialect {dialect}", "dialect"))[0]


def images_recipe() -> Recipe:
    """The statement of the images that a run trains on where its recipe names none."""
    return parse(_implied("_images", "default", "dialect"))[0]


def module_source() -> Source:
    """What is below a recipe that is compiled for a model of the caller's own."""
    return _implied("_module", "<module>", "default")


def module_statement() -> str:
    """The statement that names a model of the caller's own in the place of a stock model."""
    return parse(module_source())[0].statements[0].span.text


def _implied(file: str, name: str, kind: str) -> Source:
    text = (resources.files("recipe.language") / "dialects" / f"{file}.recipe").read_text("utf-8")
    return Source(name, text, Path.cwd(), kind)
