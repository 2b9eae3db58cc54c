"""Write the generated pages of docs/reference: python -m tests.docs [--check]

Run it from the root of the repository. With --check, it writes nothing, names the pages that are not up to date, and
exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.docs import codes, commands, examples, schemas, tricks

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "codes.md": codes.page,
    "commands.md": commands.page,
    "examples.md": examples.page,
    "json.md": schemas.page,
    "tricks.md": tricks.page,
}


def texts() -> dict[str, str]:
    """Return the text of each generated page, by the name of its file."""
    return {name: f"{page().rstrip()}\n" for name, page in PAGES.items()}


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the names of the pages in a folder that are missing or not up to date."""
    found = {path.name: path.read_text("utf-8") for path in folder.glob("*.md")}
    return [name for name, text in texts().items() if found.get(name) != text]


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the generated pages of docs/reference.")
    parser.add_argument("--check", action="store_true", help="name stale pages instead of writing them")
    if parser.parse_args().check:
        names = stale()
        for name in names:
            print(f"docs/reference/{name} is stale; run `python -m tests.docs`")
        return int(bool(names))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
