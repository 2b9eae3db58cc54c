"""Digests of code: of this package's and of plugins'."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from recipe.base.identity import digest
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import PLUGIN

PACKAGE = Path(__file__).parents[1]


def code_of_plugins(uses: Iterable[Use]) -> dict[str, str]:
    """A digest of the code of each plugin that tricks of a plan are of, by the words of the tricks."""
    return {use.word: code_of(module) for use in uses if foreign(module := type(use.trick).__module__)}


def plugin_files(uses: Iterable[Use]) -> list[str]:
    """The files, named with ``--plugin``, that tricks of a plan are of."""
    uses = (use for use in uses if type(use.trick).__module__.startswith(PLUGIN))
    return list(dict.fromkeys(use.declared.package for use in uses))


def foreign(module: str) -> bool:
    """Whether a module, by its name, is a plugin's."""
    return module.partition(".")[0] != PACKAGE.name


def edited(uses: Iterable[Use]) -> list[str]:
    """The modules of a plan's plugins whose code is not what it was when this process first asked."""
    modules = {type(use.trick).__module__ for use in uses}
    return sorted(module for module in modules if foreign(module) and _code(module) != code_of(module))


def _code(module: str) -> str:
    root, files = _files_of(module)
    lines = (f"{os.path.relpath(path, root)} {digest(path.read_bytes())}\n" for path in files if path.is_file())
    return digest("".join(lines).encode())


code_of = functools.cache(_code)
"""A digest of a module's code, of the whole package's where it is in one, as when a process first asked.

That of a plugin's single file holds the modules that were imported from beside it.
"""


@functools.cache
def _files_of(module: str) -> tuple[Path, list[Path]]:
    """The files of a module's code, and the folder that they are in."""
    top = getattr(sys.modules[module.partition(".")[0]], "__file__", None)
    file = Path(top or sys.modules[module].__file__ or "")
    if module.startswith(PLUGIN):
        loaded = (Path(getattr(other, "__file__", None) or "") for other in [*sys.modules.values()])
        return file.parent, sorted({file, *(path for path in loaded if path.parent == file.parent)})
    return file.parent, _sources(file.parent) if file.name == "__init__.py" else [file]


def _sources(root: Path) -> list[Path]:
    files = {*root.rglob("*.py"), *root.glob("*/*.py")}  # the first passes linked folders by
    return sorted(path for path in files if path.is_file())
