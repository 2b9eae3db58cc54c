"""The page of the shipped examples, from the recipes themselves."""

from __future__ import annotations

import itertools
import re

from tests.docs.markdown import row
from tests.helpers import EXAMPLES, ROOT

INTRO = """\
# Shipped examples

These recipes are installed with `recipe`. A command that takes a recipe also takes their names: `recipe run first`.
`recipe explain first` shows every value of one.
"""
LISTED = {
    "paper": (
        "The tables of He et al. 2019",
        "The accuracies are the paper's, on ImageNet. They are recalled, not read there: the last digit may differ.",
    ),
    "ablate": ("Ablations", "These recipes are baselines for `recipe ablate`."),
}
"""Folders of recipes that are listed, each with its title and a sentence. The texts of all other recipes are shown."""


def page() -> str:
    parts = [INTRO]
    listed: dict[str, list[str]] = {folder: [] for folder in LISTED}
    for path in EXAMPLES:
        name = path.relative_to(ROOT / "examples").with_suffix("").as_posix()
        text = path.read_text("utf-8").strip()
        if (folder := name.partition("/")[0]) in listed:
            listed[folder].append(row((f"`{name}`", _about(text))))
        else:
            note = "<!-- not run: names another file -->\n" if re.search(r'^[^#]*"[^"]+\.recipe"', text, re.M) else ""
            parts.append(f"## {name}\n\n{note}```recipe\n{text}\n```\n")
    for folder, (title, said) in LISTED.items():
        rows = "\n".join(listed[folder])
        parts.append(f"## {title}\n\n{said}\n\n| name | recipe |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def _about(text: str) -> str:
    """Return the first sentence of the comment that a recipe starts with."""
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join(line.removeprefix("#").strip() for line in comment))[0]
