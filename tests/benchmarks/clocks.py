"""Time steps, and let the sides of a comparison take turns."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Return the mean seconds of a step over several steps."""
    synchronise(device)
    began = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise(device)
    return (time.perf_counter() - began) / steps


class Clock:
    """Record seconds by name, excluding those of nested names. A clock that is off costs nothing."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.on, self.parts, self.within = device, False, Counter[str](), [""]

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        if not self.on:
            yield
            return
        synchronise(self.device)
        began = time.perf_counter()
        self.within.append(name)
        yield
        synchronise(self.device)
        self.within.pop()
        took = time.perf_counter() - began
        self.parts[name] += took
        self.parts[self.within[-1]] -= took

    def timing(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            with self(name):
                return function(*arguments, **named)

        return timed

    def shares(self) -> dict[str, float]:
        """Return the percentage of each part."""
        parts = {name: took for name, took in self.parts.items() if name}
        return {name: 100 * took / sum(parts.values()) for name, took in parts.items()}


Turn = Callable[[], float]
"""Takes its turn and returns the seconds of a step."""


def turns(sides: dict[str, Turn], rounds: int, warm: bool = False) -> dict[str, list[float]]:
    """Return the time of each side's turns, by round. The first round is not counted unless all sides are warm."""
    for turn in () if warm else sides.values():
        turn()
    taken = [{name: turn() for name, turn in sides.items()} for _ in range(rounds)]
    return {name: [one[name] for one in taken] for name in sides}


def ratio(slower: list[float], faster: list[float]) -> str:
    """Format two cells of a table: the median, and the range, of the per-round ratios of seconds."""
    ratios = [a / b for a, b in zip(slower, faster, strict=True)]
    return f"{statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f}"


def speed(batch: int, taken: list[float]) -> str:
    return f"{batch / statistics.median(taken):.1f}"
