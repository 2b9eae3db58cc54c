"""Measure, and write docs/benchmarks.md: python -m tests.benchmarks [--only SECTION …] [--quick]

From the root of the repository, on an idle machine. What isn't measured stays in the file as it is.
"""

from __future__ import annotations

import argparse
import os
import platform
from importlib import metadata
from pathlib import Path

from tests.benchmarks import decode, startup, training

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
SECTIONS = {"startup": startup.section, "decode": decode.section, "training": training.section}


def processor() -> str:
    """The name of the CPU, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def header() -> str:
    return (
        "# Measurements\n\n"
        "Written by `python -m tests.benchmarks`; run it, with `--only training` for a part, to see your own machine's "
        "figures.\n\n"
        f"Machine: {processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"torch {metadata.version('torch')}.\n\n"
    )


def divided(text: str) -> dict[str, str]:
    """A page by its headings of the second level; what comes before them is under the empty one.

    >>> divided("# A\\n\\n## B\\n\\nb\\n\\n## C\\n")
    {'': '# A\\n\\n', '## B': '## B\\n\\nb\\n\\n', '## C': '## C\\n'}
    """
    found = {"": ""}
    heading = ""
    for line in text.splitlines(keepends=True):
        if line.startswith("## "):
            heading = line.strip()
            found[heading] = ""
        found[heading] += line
    return found


def merged(before: str, measured: str, whole: bool) -> str:
    """A page with what was measured in place of what it had; the machine is named anew where all was measured."""
    old, new = divided(before), divided(measured)
    if not whole and old[""]:
        del new[""]
    return "\n\n".join(part.strip() for part in (old | new).values()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="the sections to measure")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write (default: docs/benchmarks.md)")
    parser.add_argument("--quick", action="store_true", help="a short training section, and nothing is written")
    asked = parser.parse_args()
    lines = []
    for name in asked.only:
        measured = training.section(quick=True) if asked.quick and name == "training" else SECTIONS[name]()
        lines += [*measured, ""]
    text = header() + "\n".join(lines)
    if not asked.quick:
        before = asked.out.read_text() if asked.out.exists() else ""
        asked.out.write_text(merged(before, text, set(asked.only) == set(SECTIONS)))
    print(text)


if __name__ == "__main__":
    main()
