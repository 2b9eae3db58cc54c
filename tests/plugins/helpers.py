"""Packages of other authors, written to a folder as pip would install them."""

from __future__ import annotations

from pathlib import Path

from recipe.plugins.vocabulary import GROUP

GOOD = '''
"""A trick of another package."""
from recipe.api import Trick, Training, choice, number, trick

@trick("{word}")
class Theirs(Trick):
    """Do what others do."""

    amount: float = number(1, "how much", minimum=0)
    sort: str = choice("plain", "which", of=("plain", "fancy"))
'''


def install(folder: Path, name: str, entries: dict[str, str], *, group: str = GROUP, **modules: str) -> None:
    """Write the modules and entry points of a package to a folder, as pip would install them."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{words} = {place}\n" for words, place in entries.items())
    (about / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
