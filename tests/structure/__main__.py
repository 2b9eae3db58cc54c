"""Measure the structure of the package: python -m tests.structure

Run it from the root of the repository. It prints import cycles, the path of a recipe through the packages, and the
longest file and function. The exit code is 1 if there is a cycle.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from tests.structure.imports import circles, imports, modules
from tests.structure.rooms import package, stays

PACKAGE = Path(__file__).parents[2] / "recipe"


def sizes() -> list[str]:
    """Return the total number of lines, the longest file, and the longest function."""
    files = {file: file.read_text("utf-8") for file in modules(PACKAGE).values()}
    lines = {str(file.relative_to(PACKAGE.parent)): len(text.splitlines()) for file, text in files.items()}
    functions = {
        f"{file.relative_to(PACKAGE.parent)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for file, text in files.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    longest = max(lines, key=lambda file: lines[file])
    function = max(functions, key=lambda name: functions[name])
    return [
        f"{sum(lines.values()):,} lines in {len(lines)} files",
        f"longest file: {longest}, {lines[longest]} lines",
        f"longest function: {function}, {functions[function]} lines",
    ]


def main() -> int:
    groups = circles(imports(PACKAGE))
    print(f"import cycles: {len(groups)}")
    for group in groups:
        print(f"  {', '.join(group)}")
    way = stays(package)
    rooms = list(dict.fromkeys(stay.room for stay in way))
    print(f"packages that a recipe passes: {len(rooms)}, returns: {len(way) - len(rooms)}")
    for number, stay in enumerate(way, 1):
        first, *more = (function.partition(":")[2] for function in stay.functions)
        again = "" if stay.room not in {before.room for before in way[: number - 1]} else "  (return)"
        print(f"  {number:>2}. {stay.room:<18} {first}{f' and {len(more)} more' if more else ''}{again}")
    print("\n".join(sizes()))
    return int(bool(groups))


if __name__ == "__main__":
    sys.exit(main())
