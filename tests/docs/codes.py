"""The page of the diagnostics' codes."""

from __future__ import annotations

from recipe.base.codes import CODES

INTRO = """\
# Error codes

Every error and warning has a code. `recipe explain E030` prints the text of one. Codes that start with `W` are
warnings.
"""

GROUPS = {
    "Reading": ("E001", "E009"),
    "Words and values": ("E010", "E029"),
    "Tricks together": ("E030", "E039"),
    "Includes, the base and teachers": ("E040", "E069"),
    "The dataset": ("E070", "E079"),
    "Plugins": ("E080", "E099"),
    "The model": ("E100", "E109"),
    "Training, exports and ablations": ("E110", "E199"),
    "Warnings": ("W000", "W999"),
}
"""The first and the last code of each group."""


def page() -> str:
    parts = [INTRO]
    for group, (first, last) in GROUPS.items():
        parts.append(f"## {group}\n")
        parts += [f"### {code}: {title}\n\n{text}\n" for code, (title, text) in CODES.items() if first <= code <= last]
    return "\n".join(parts)
