"""Read the contents of a run folder. Damaged parts count as missing."""

from __future__ import annotations

import contextlib
import json
import math
import os
from importlib import metadata
from pathlib import Path
from typing import Any


def summary_of(folder: Path) -> dict[str, Any]:
    """Return a run's summary, empty if the run is unfinished or the summary damaged. Resuming repairs a summary."""
    try:
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    numbers = ("epochs", "steps", "top1", "loss", "seconds", "training_images")
    whole = isinstance(summary, dict) and all(
        isinstance(summary.get(name), int | float) and math.isfinite(summary[name]) for name in numbers
    )
    return summary if whole and 0 <= summary["top1"] <= 1 and "images_per_second" in summary else {}


def measured(folder: Path, last: int | None = None) -> list[dict[str, Any]]:
    """Return the lines of a run's `metrics.jsonl`, or those in its ``last`` bytes. Damaged lines are skipped."""
    lines = []
    with contextlib.suppress(OSError), (folder / "metrics.jsonl").open("rb") as file:
        if last is not None:
            file.seek(max(0, file.seek(0, os.SEEK_END) - last))
        for text in file.read().splitlines():
            with contextlib.suppress(ValueError):  # the first and last lines may be incomplete
                line = json.loads(text)
                if isinstance(line, dict) and "kind" in line and isinstance(line.get("epoch"), int | float):
                    lines.append(line)
    return lines


def lost_packages(folder: Path) -> list[str]:
    """Return the packages listed in a run's `environment.json` that are no longer installed."""
    try:
        packages = json.loads((folder / "environment.json").read_text("utf-8"))["packages"]
        lost = [(name, version) for name, version in packages.items() if not any(metadata.distributions(name=name))]
        return [f"{name} {version}" for name, version in lost]
    except (OSError, ValueError, KeyError, AttributeError):
        return []


def finished_run(near: Path, digest: str) -> Path | None:
    """Return the folder of a finished run of a plan, from a folder of runs."""
    for folder in sorted(near.glob("*/")):
        if summary_of(folder).get("digest") == digest and (folder / "model.safetensors").is_file():
            return folder
    return None
