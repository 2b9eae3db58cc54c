"""Write the results of a GPU session as a section of docs/benchmarks.md."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Line = dict[str, Any]

SPEED = ("model", "precision", "mode", "cudnn", "tricks", "batch", "images_s", "step_ms", "host_ms", "first_s",
         "peak_GiB")  # fmt: skip
FED = ("workers", "loader_alone", "from_files", "same_batch", "ratio")


def read(file: Path) -> list[Line]:
    """Return the lines of the last session in a file. Raises `ValueError` if the file is not from a session."""
    try:
        lines: list[Line] = [json.loads(text) for text in file.read_text("utf-8").splitlines()]
        begun = [place for place, line in enumerate(lines) if line["part"] == "machine"]
    except (ValueError, TypeError, KeyError):
        begun = []
    if not begun:
        raise ValueError(f"{file} was not written by `python -m tests.gpu`")
    if lines[begun[-1]]["quick"]:
        raise ValueError(f"{file} is from a quick session, whose figures are meaningless")
    return lines[begun[-1] :]


def section(lines: list[Line]) -> list[str]:
    """Return the section as lines of Markdown."""
    machine = next(line for line in lines if line["part"] == "machine")
    page = [
        f"## On {machine['device']}",
        "",
        f"Measured by `python -m tests.gpu`: torch {machine['torch']}, cuDNN {machine['cudnn']}, "
        f"Python {machine['python']}, {machine['cores']} CPU cores. 224 × 224 pixels, channels-last, on a fixed batch "
        "unless loaded from files. `host_ms` is the time until a step is launched.",
    ]
    for line in _of(lines, "ceilings"):
        page += [
            "",
            f"A large copy reaches {line['copy_GB_s']:,} GB/s, which allows {line['images_s_that_memory_allows']:,} "
            f"images per second with ResNet-50 in half precision. A large product in bf16 reaches "
            f"{line['product_bf16_TFLOP_s']:,} TFLOP/s.",
        ]
    page += ["", *_right(lines)]
    page += _table("Speed", _of(lines, "speed"), SPEED)
    for line in _of(lines, "profile"):
        shares = ", ".join(f"`{name}` {percent} %" for name, percent in line["percent"].items())
        counts = f"{line['launches_a_step']} kernels and waits {line['waits_a_step']} times"
        page += ["", f"With `{line['tricks']}`, a step launches {counts}: {shares}."]
    page += _table("Loading from JPEG files", _of(lines, "fed"), FED)
    missing = [f"{line['part']}: {line.get('failed') or line['skipped']}" for line in lines if _is_missing(line)]
    if missing:
        page += ["", "Not measured: " + "; ".join(missing) + "."]
    return page


def _of(lines: Iterable[Line], part: str) -> list[Line]:
    return [line for line in lines if line["part"] == part and not _is_missing(line)]


def _is_missing(line: Line) -> bool:
    return "failed" in line or "skipped" in line


def _right(lines: list[Line]) -> list[str]:
    crashed = [line for line in lines if line["part"].startswith("right: ")]
    tried, twice = _of(lines, "right"), _of(lines, "repeats")
    good = sum(line["right"] for line in tried)
    furthest = max((line["off"] for line in tried), default=0)
    again = ", ".join(f"{line['precision']} {'yes' if line['right'] else 'no'}" for line in twice)
    text = [
        f"Correct in {good} of {len(tried) + len(crashed)} sets of tricks: two steps in fp32 match the CPU (the "
        f"largest difference of a tensor is {furthest:.1e} of its norm), half precision stays finite, and a step "
        f"waits for the device only where `tests/gpu/sets.py` expects it. Identical bits twice: {again or 'not tried'}."
    ]
    wrong = [line for line in tried if not line["right"]]
    if wrong:
        text += ["", "| tricks | off | finite | waits |", "|---|---|---|---|"]
        text += [f"| `{line['tricks']}` | {line['off']} | {line['finite']} | {line['waits']} |" for line in wrong]
    return text


def _table(title: str, lines: list[Line], columns: tuple[str, ...]) -> list[str]:
    if not lines:
        return []
    rows = [f"| {' | '.join(str(line[name]) for name in columns)} |" for line in lines]
    return ["", f"### {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows]
