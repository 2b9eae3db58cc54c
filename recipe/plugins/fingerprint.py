"""Digests of the code of this package and of plugins."""

from __future__ import annotations

import ast
import functools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from recipe.base.identity import digest
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import PLUGIN

MODULE = re.compile(r"([A-Za-z_]\w*)(\.[\w.]+)?(:|$)")
"""A string that may name a module, or something in one."""

PACKAGE = Path(__file__).parents[1]


def code_of_plugins(uses: Iterable[Use]) -> dict[str, str]:
    """Return a digest of the code of each plugin trick in a plan, by the words of the trick."""
    return {use.word: code_of(module) for use in uses if foreign(module := type(use.trick).__module__)}


def code_by_package(uses: Iterable[Use]) -> dict[str, dict[str, str]]:
    """Return a digest of the code of each plugin trick in a plan, by package or plugin file and the trick's words."""
    uses = tuple(uses)
    code, packages = code_of_plugins(uses), dict[str, dict[str, str]]()
    for use in uses:
        if use.word in code:
            packages.setdefault(use.declared.package, {})[use.word] = code[use.word]
    return packages


def plugin_files(uses: Iterable[Use]) -> list[str]:
    """Return the ``--plugin`` files that tricks of a plan come from."""
    uses = (use for use in uses if type(use.trick).__module__.startswith(PLUGIN))
    return list(dict.fromkeys(use.declared.package for use in uses))


def foreign(module: str) -> bool:
    """Whether a module, given by name, belongs to a plugin."""
    return module.partition(".")[0] != PACKAGE.name


def edited(uses: Iterable[Use]) -> list[str]:
    """Return the modules of a plan's plugins whose code has changed since this process first read it."""
    modules = {type(use.trick).__module__ for use in uses}
    return sorted(module for module in modules if foreign(module) and _code(module) != code_of(module))


def _code(module: str) -> str:
    root, files = _files_of(module)
    lines = (f"{os.path.relpath(path, root)} {digest(path.read_bytes())}\n" for path in files if path.is_file())
    return digest("".join(lines).encode())


code_of = functools.cache(_code)
"""Return a digest of the code of a module, or of its whole package, as this process first read it.

For a single plugin file, it includes the modules in its folder that it names, wherever it imports them.
"""


def _files_of(module: str) -> tuple[Path, list[Path]]:
    """Return the folder of a module's code, and its files."""
    top = getattr(sys.modules[module.partition(".")[0]], "__file__", None)
    file = Path(top or sys.modules[module].__file__ or "")
    if module.startswith(PLUGIN):
        return file.parent, sorted(_named_by(file))
    return file.parent, _sources(file.parent) if file.name == "__init__.py" else [file]


def _named_by(file: Path) -> set[Path]:
    """Return a plugin file and the modules in its folder that it, or one of these, imports or names in a string.

    Hooks and layers import modules late, so those that are loaded so far would not be all.
    """
    folder, found, waiting = file.parent, set[Path](), [file]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # importing it reports it
            continue
        for name in {name for node in ast.walk(tree) for name in _modules_in(node)}:
            waiting += [folder / f"{name}.py", *_sources(folder / name)]
    return found


def _modules_in(node: ast.AST) -> Iterator[str]:
    """Yield the top-level names of modules that a node imports, or that a string may name: ``layers:Gate``."""
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield (node.module or "").partition(".")[0]
        yield from (alias.name for alias in node.names if not node.module)  # from . import layers
    elif isinstance(node, ast.Constant) and (named := MODULE.match(str(node.value))):
        yield named[1]


def _sources(root: Path) -> list[Path]:
    files = {*root.rglob("*.py"), *root.glob("*/*.py")}  # rglob skips linked folders
    return sorted(path for path in files if path.is_file())
