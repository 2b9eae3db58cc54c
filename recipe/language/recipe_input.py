"""Turn the recipe arguments of the Python API and the commands into sources. Imports no torch."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from importlib import resources
from pathlib import Path

import attrs

from recipe.base.errors import fail
from recipe.base.printable import command_line
from recipe.base.source import MAX_BYTES, Source, Span
from recipe.base.wording import did_you_mean, listing, near_file, system_reason
from recipe.language.ast import quoted

LOCK = "recipe.lock"
"""The file in a run folder that holds its recipe."""

SUFFIX = ".recipe"


def read(path: Path, name: str | None = None, span: Span | None = None) -> Source:
    """Read a recipe file. ``span`` is the word that names it, if there is one."""
    shown = name or str(path)
    if span is not None and os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise fail("E001", f"`{shown}` is not a regular file", span)  # reading a pipe would block
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise fail("E001", f"`{shown}` does not exist", span, help=near_file(path)) from None
    except IsADirectoryError:
        help = _about_folder(path, shown) if span is None else ""
        raise fail("E001", f"`{shown}` is a folder, not a recipe file", span, help=help) from None
    except (OSError, ValueError) as error:
        raise fail("E001", f"`{shown}` can't be read: {system_reason(error)}", span) from None
    source = decode(data, shown, path.resolve().parent, span)
    return attrs.evolve(source, path=path.resolve())


def _about_folder(path: Path, shown: str) -> str:
    """Return what to write instead of a folder that is no run: a recipe for its images if it has folders of them."""
    with contextlib.suppress(OSError):
        if any(each.is_dir() and not each.name.startswith(".") for each in path.iterdir()):
            recipe = f"base resnet18; data folder {quoted(shown)}"
            return f"to use the images in its folders, write a recipe instead: {command_line(recipe)}"
    return f"a run folder has a {LOCK}"


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


def examples() -> dict[str, Path]:
    """Return the shipped examples by name, with and without the suffix."""
    root = Path(str(resources.files("recipe") / "examples"))
    files = {path.relative_to(root).as_posix(): path for path in sorted(root.glob(f"**/*{SUFFIX}"))}
    return {name.removesuffix(SUFFIX): path for name, path in files.items()} | files


def source_from(recipe: str | Path | Source, verbs: Collection[str] = ()) -> Source:
    """Return the source that a recipe argument names: a path, a run folder, a shipped example, or the text of a recipe.

    A single word is text if it is one of the known ``verbs``. Raises `RecipeError` (E001) if nothing has that name.
    """
    if isinstance(recipe, Source):
        return recipe
    if not isinstance(recipe, (str, Path)):  # callers without a type checker
        raise TypeError(f"a recipe must be text, a path, a Plan or a Program, not {type(recipe).__name__}")
    name, shipped = str(recipe), examples()
    if is_run(name):
        return read(Path(name, LOCK), os.path.join(name, LOCK))
    text = name.strip() if isinstance(recipe, str) else None
    known = name in shipped or text in verbs
    if text != "" and os.path.exists(name) and not (known and os.path.isdir(name)):  # unlike Path's, it takes any text
        return read(Path(name), name)
    if name in shipped:
        return read(shipped[name], name)
    is_path = text is None or names_file(text)
    if not is_path and (not text or text in verbs or re.search(r"[;\s]", text)):
        return decode(name.encode("utf-8", "surrogatepass"), "<text>", Path.cwd())
    names = [example for example in shipped if not example.endswith(SUFFIX)]
    near = near_file(name) if is_path else ""
    otherwise = f"shipped examples are {listing([example for example in names if '/' not in example], 4)}"
    help = near or did_you_mean(name, names, otherwise, form="the example `{}`".format)
    raise fail("E001", f"file, run folder or example not found: `{name}`", help=help)


def is_run(recipe: object) -> bool:
    """Whether a recipe argument names a run folder, whose recipe is its lock."""
    return isinstance(recipe, (str, Path)) and os.path.isfile(os.path.join(recipe, LOCK))


def names_file(text: str) -> bool:
    """Whether a text names a file or a folder, even one that doesn't exist, rather than being a recipe.

    That is so for one that ends in ``.recipe``, or whose first word has a path separator, which no verb has.
    """
    first = re.match(r"[^\s\"#]*", text.strip())
    separated = first is not None and any(mark in first[0] for mark in ("/", os.sep))
    return not re.search("[;\n]", text) and (separated or text.endswith(SUFFIX))


def override(statements: tuple[str, ...]) -> list[Source]:
    """Return the source of the statements that override a recipe, or an empty list if there are none."""
    return [Source("<statements>", "\n".join(statements), Path.cwd(), "override")] if statements else []
