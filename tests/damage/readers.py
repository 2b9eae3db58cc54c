"""What reads the folders, and the result that it must have: the same as before the damage, or an error with a code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from safetensors.torch import load_file

from recipe.base.codes import CODES
from recipe.base.identity import digest
from tests.damage.folders import ABLATION, DEVICE, RECIPE
from tests.helpers import Outcome


@attrs.frozen
class Reader:
    """A command on a copy of a folder.

    ``reads`` are the names of the files that it reads, or empty if it reads all of them; other files are damaged less
    often. ``believes`` are the files whose values it shows as they are. Someone may have edited them, so the result may
    differ as long as it is sane.
    """

    folder: str
    words: tuple[str, ...]
    result: Callable[[Path, Outcome], Any]
    reads: tuple[str, ...] = ()
    believes: tuple[str, ...] = ()

    def command(self, copy: Path, other: Path) -> list[str]:
        """Return the arguments. ``other`` is a finished run that is not damaged."""
        names = {"COPY": str(copy), "OUT": str(copy.parent / "out.safetensors"), "OTHER": str(other)}
        return [names.get(word, word) for word in self.words]


def _printed(copy: Path, done: Outcome) -> Any:
    return done.status, done.stdout


def _closing(copy: Path, done: Outcome) -> Any:
    """Return the accuracy that a run prints at its end, without the time it took."""
    return re.findall(r"top-1 [^,]*, loss \S+", done.stdout)


def _trained(copy: Path, done: Outcome) -> Any:
    """Return the results of a run, and a digest of its weights."""
    summary = json.loads((copy / "summary.json").read_text())
    return summary["top1"], summary["loss"], _weights(copy / "model.safetensors")


def _exported(copy: Path, done: Outcome) -> Any:
    return _weights(copy.parent / "out.safetensors")


def _weights(path: Path) -> str:
    tensors = load_file(path)
    return digest(b"".join(name.encode() + tensors[name].numpy().tobytes() for name in sorted(tensors)))


def _rows(copy: Path, done: Outcome) -> Any:
    rows = [(row["label"], [cell["top1"] for cell in row["cells"]]) for row in json.loads(done.stdout)["rows"]]
    assert all(top1 is None or 0 <= top1 <= 1 for _, results in rows for top1 in results)
    return rows


TEXT = ("recipe.lock", "environment.json")
LOCK = ("recipe.lock",)

READERS: dict[str, Reader] = {
    "explain": Reader("finished", ("explain", "COPY", *DEVICE), _printed, TEXT, LOCK),
    "dry run": Reader("finished", ("run", "COPY", "--dry-run", *DEVICE), _printed, TEXT, LOCK),
    "diff": Reader("finished", ("diff", "COPY", "OTHER"), _printed, TEXT, LOCK),
    "export": Reader(
        "finished",
        ("export", "COPY", "--to", "safetensors", "--out", "OUT"),
        _exported,
        (*TEXT, "summary.json", "model.safetensors"),
    ),
    "resume a finished run": Reader("finished", ("run", "--resume", "COPY", *DEVICE), _closing),
    "resume a stopped run": Reader("stopped", ("run", "--resume", "COPY", *DEVICE), _trained),
    "ablate again": Reader("ablation", (*ABLATION, "--out", "COPY", "--format", "json", *DEVICE), _rows),
    "diff from a cache": Reader("cache", ("diff", RECIPE, f"{RECIPE}; loss smooth"), _printed),
}


def wrong(reader: Reader, name: str, copy: Path, done: Outcome, expected: Any) -> str:
    """Return what is wrong with the outcome of a reader after damage to a file, or an empty string."""
    if "Traceback" in done.stderr or "internal error" in done.stderr:
        return done.stderr[-2000:]
    if done.status == 2:
        codes = re.findall(r"^error\[(\w+)\]", done.stderr, re.MULTILINE)
        known = codes and {*codes} <= CODES.keys()
        return "" if known else f"an error without a code: {done.stderr[-2000:]}"
    if done.status not in (0, 1):
        return f"exit code {done.status}: {done.stderr[-2000:]}"
    result = reader.result(copy, done)
    return "" if result == expected or name in reader.believes else f"{result} instead of {expected}"
