"""The imports among the modules of a package, those for typing and those within functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Imports = Mapping[str, frozenset[str]]
"""For each module, by its dotted name, the modules of the package that it imports."""


def modules(package: Path) -> dict[str, Path]:
    """The files of a package by their dotted names; linked folders, which are data or tricks, are left out."""
    files = (file for file in sorted(package.rglob("*.py")) if not any(folder.is_symlink() for folder in file.parents))
    return {".".join(_parts(file.relative_to(package.parent))): file for file in files}


def _parts(file: Path) -> tuple[str, ...]:
    return file.parts[:-1] if file.name == "__init__.py" else file.with_suffix("").parts


def imports(package: Path) -> Imports:
    """What each module of a package imports of it. To import a name of a package is to import that package."""
    files = modules(package)
    return {
        module: frozenset(_imported(ast.parse(file.read_text("utf-8")), frozenset(files)) - {module})
        for module, file in files.items()
    }


def _imported(tree: ast.Module, known: frozenset[str]) -> set[str]:
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                imported.add(submodule if submodule in known else node.module)
    return imported & known


def circles(graph: Imports) -> list[list[str]]:
    """The largest groups of modules each of which imports, directly or through others, all others of its group."""
    reached = {module: frozenset(_reached(graph, module)) for module in graph}
    groups = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }
    return sorted(sorted(group) for group in groups)


def _reached(graph: Imports, start: str) -> Iterator[str]:
    """The modules that a module imports, directly or through others; itself, where it is in a circle."""
    seen, waiting = set[str](), [*graph[start]]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            yield module
            waiting += graph[module]
