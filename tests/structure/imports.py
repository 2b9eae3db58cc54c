"""Find the imports between modules of a package, including those for typing and those in functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Imports = Mapping[str, frozenset[str]]
"""The dotted name of each module, and those of the modules of the package that it imports."""


def modules(package: Path) -> dict[str, Path]:
    """Return the files of a package by dotted name, without linked folders, which contain data or tricks."""
    files = (file for file in sorted(package.rglob("*.py")) if not any(folder.is_symlink() for folder in file.parents))
    return {".".join(_parts(file.relative_to(package.parent))): file for file in files}


def _parts(file: Path) -> tuple[str, ...]:
    return file.parts[:-1] if file.name == "__init__.py" else file.with_suffix("").parts


def imports(package: Path) -> Imports:
    """Return the imports within a package. Importing a name from a package counts as importing the package."""
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
    """Return the largest groups of modules that all import each other, directly or indirectly."""
    reached = {module: frozenset(_reached(graph, module)) for module in graph}
    groups = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }
    return sorted(sorted(group) for group in groups)


def _reached(graph: Imports, start: str) -> Iterator[str]:
    """Yield the modules that a module imports, directly or indirectly; in a cycle, also the module itself."""
    seen, waiting = set[str](), [*graph[start]]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            yield module
            waiting += graph[module]
