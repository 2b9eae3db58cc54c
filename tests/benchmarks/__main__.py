"""Run the benchmarks and write docs/benchmarks.md: python -m tests.benchmarks [--only SECTION …] [--quick]

Run it from the root of the repository, on an idle machine. Sections that are not measured stay unchanged.
"""

from __future__ import annotations

import argparse
import os
import platform
from importlib import metadata
from pathlib import Path

from tests.benchmarks import decode, startup, trackers, training

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
SECTIONS = {
    "startup": startup.section,
    "decode": decode.section,
    "training": training.section,
    "trackers": trackers.section,
}


def processor() -> str:
    """Return the name of the CPU, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def header() -> str:
    return (
        "# Benchmarks\n\n"
        "`python -m tests.benchmarks` writes this page. Run it to measure your own machine; add `--only training` to "
        "run a single section.\n\n"
        f"Machine: {processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"torch {metadata.version('torch')}.\n\n"
    )


def divided(text: str) -> dict[str, str]:
    """Split a page at its second-level headings. The text before the first one is under the empty heading.

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
    """Update a page with the measured sections. The line about the machine changes only if all were measured."""
    old, new = divided(before), divided(measured)
    if not whole and old[""]:
        del new[""]
    return "\n\n".join(part.strip() for part in (old | new).values()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the benchmarks and write docs/benchmarks.md.")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="the sections to measure")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write (default: docs/benchmarks.md)")
    parser.add_argument("--quick", action="store_true", help="shorten the training section and write nothing")
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
