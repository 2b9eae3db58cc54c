"""Turn the recipe arguments of the Python API and the commands into sources. Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from recipe.base.errors import fail
from recipe.base.source import MAX_BYTES, Source, Span
from recipe.base.wording import system_reason


def read(path: Path, name: str | None = None, span: Span | None = None) -> Source:
    """Read a recipe file. ``span`` is the word that names it, if there is one."""
    shown = name or str(path)
    if span is not None and os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise fail("E001", f"`{shown}` is not a regular file", span)  # reading a pipe would block
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise fail("E001", f"`{shown}` does not exist", span) from None
    except IsADirectoryError:
        raise fail("E001", f"`{shown}` is a folder, not a recipe file", span) from None
    except (OSError, ValueError) as error:
        raise fail("E001", f"`{shown}` can't be read: {system_reason(error)}", span) from None
    source = decode(data, shown, path.resolve().parent, span)
    return attrs.evolve(source, path=path.resolve())


def decode(data: bytes, name: str, folder: Path, span: Span | None = None) -> Source:
    """Decode bytes into a source. Raises `RecipeError` if they are too large or not plain UTF-8 text."""
    if len(data) > MAX_BYTES:
        raise fail("E005", f"`{name}` is larger than {MAX_BYTES // 1024} KiB, the limit for a recipe", span)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"`{name}` is not a text file: byte {error.start} is not valid UTF-8"
        raise fail("E002", message, span, help="save it as UTF-8") from None
    if "\0" in text:
        raise fail("E002", f"`{name}` is not a text file: it contains a NUL byte at offset {text.index(chr(0))}", span)
    return Source(name, text, folder)


def source_from(recipe: str | Path | Source) -> Source:
    """Return a source from the text of a recipe or its path: a `Path`, or a string that ends in ``.recipe``."""
    if isinstance(recipe, Source):
        return recipe
    if not isinstance(recipe, (str, Path)):  # callers without a type checker
        raise TypeError(f"a recipe must be text, a path or a Plan, not {type(recipe).__name__}")
    if isinstance(recipe, Path) or (recipe.strip().endswith(".recipe") and "\n" not in recipe and ";" not in recipe):
        return read(Path(recipe))
    return Source("<text>", recipe, Path.cwd())


def override(statements: tuple[str, ...]) -> list[Source]:
    """Return the source of the statements that override a recipe, or an empty list if there are none."""
    return [Source("<statements>", "\n".join(statements), Path.cwd(), "override")] if statements else []
