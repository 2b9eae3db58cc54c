"""A session on a GPU: parts that report line by line within a time budget, independent of failures of others."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch

FILE = "gpu.jsonl"
"""The results, one line of JSON each, written immediately."""


@attrs.define(eq=False)
class Session:
    """A device to measure, a time budget, and the results so far."""

    device: torch.device
    seconds: float
    out: Path
    quick: bool = False
    lines: list[dict[str, Any]] = attrs.field(factory=list)
    began: float = attrs.field(factory=time.monotonic)

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def left(self) -> float:
        """Remaining seconds of the budget."""
        return self.seconds - (time.monotonic() - self.began)

    def tell(self, part: str, **values: Any) -> None:
        """Print a result and append it to the file."""
        at = round(time.monotonic() - self.began, 1)
        line = {"part": part, "at": at, **values}
        self.lines.append(line)
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"[{at:5.0f}] {part}: " + "  ".join(f"{name}={value}" for name, value in values.items()), flush=True)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Run the body as one part; if it fails, report the failure and continue."""
        try:
            yield
        except Exception as error:
            first = (str(error).strip() or "no message").splitlines()[0]
            self.tell(name, failed=f"{type(error).__name__}: {first[:300]}")
        finally:
            if self.cuda:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(self.device)

    def run(self, parts: list[tuple[str, float, Callable[[], None]]]) -> None:
        """Run parts, each with the seconds that it needs; skip a part that no longer fits the budget."""
        for name, needs, measure in parts:
            if self.left < needs:
                self.tell(name, skipped=f"it needs {needs:.0f} s, but only {max(0, self.left):.0f} s are left")
                continue
            with self.part(name):
                measure()


def wrong(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines of a session that report a problem; a session without the part `right` has one, too."""
    missing = [{"part": "right", "failed": "not checked"}] if not any(x["part"] == "right" for x in lines) else []
    return [
        *missing,
        *(x for x in lines if x.get("right") is False or "failed" in x or (x["part"] == "right" and "skipped" in x)),
    ]
