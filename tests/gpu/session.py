"""One call on a GPU: parts that are told line by line, within a budget of seconds; one that fails spoils no other."""

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
"""What is found, a line of JSON for each; written as it comes."""


@attrs.define(eq=False)
class Session:
    """What is measured on which device, how long that may take, and what was found so far."""

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
        """Seconds of the budget that are left."""
        return self.seconds - (time.monotonic() - self.began)

    def tell(self, part: str, **values: Any) -> None:
        """Print something that was found, and write it down at once."""
        at = round(time.monotonic() - self.began, 1)
        line = {"part": part, "at": at, **values}
        self.lines.append(line)
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"[{at:5.0f}] {part}: " + "  ".join(f"{name}={value}" for name, value in values.items()), flush=True)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A context for one part: what fails in it is noted, and passed over."""
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
        """Run parts, each with the seconds that it needs; one that the budget has no room for is passed over."""
        for name, needs, measure in parts:
            if self.left < needs:
                self.tell(name, skipped=f"it needs {needs:.0f} s, and {max(0, self.left):.0f} are left")
                continue
            with self.part(name):
                measure()


def wrong(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is not as it should be, of the lines of a session: also where it was not looked whether all is right."""
    missing = [{"part": "right", "failed": "it was not looked"}] if not any(x["part"] == "right" for x in lines) else []
    return [
        *missing,
        *(x for x in lines if x.get("right") is False or "failed" in x or (x["part"] == "right" and "skipped" in x)),
    ]
