"""How a run shows its progress by default, depending on where its output goes."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.base.terminal import CellOutput, is_kernel, redraws
from recipe.base.wording import with_near_paths
from recipe.training.reporting import EpochLine, Listener, Live, Plain, beginning

if TYPE_CHECKING:
    from recipe.compiler.program import Program

SECONDS = 0.5
"""The least time between two updates of the output of a cell."""


class Cell(Listener):
    """Shows notes in the output of a notebook's cell, and below them a line on the epoch, which is updated in place."""

    def __init__(self, output: CellOutput | None = None) -> None:
        self.output = output or CellOutput()
        self.lines: list[str] = []
        self.line = EpochLine(1, 1, 0)
        self.current = ""
        """The line on the epoch, or empty if no training is in progress."""
        self.held_out = ""
        """The result of the last epoch that ended."""
        self.shown = 0.0

    def note(self, text: str) -> None:
        self.lines.append(with_near_paths(text))
        self._show(soon=bool(self.current))

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        self.line, self.current, self.held_out = EpochLine(steps, steps_per_epoch, step), "", ""
        self.lines += beginning(program, folder, step, steps, steps_per_epoch)
        self._show()

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        self.line.step(step, loss, top1, rate, speed)
        self.current = self.line.so_far() + self.held_out
        self._show(soon=True)

    def epoch(self, number: int, result: dict[str, float]) -> None:
        self.current = self.line.text(number, result)
        self.held_out = f"; held-out top-1 {result['top1']:.2%} after epoch {number}"
        self._show(soon=True)

    def stop(self) -> None:
        self.lines += filter(None, [self.current])
        self.current = ""
        self._show()

    def _show(self, soon: bool = False) -> None:
        """Show all lines, or ``soon`` only if the last update was long enough ago. A later one shows them, too."""
        now = time.monotonic()
        if not soon or now - self.shown >= SECONDS:
            self.shown = now
            self.output.show([*self.lines, *filter(None, [self.current])])


def default_listener(*, keys: bool) -> Listener:
    """Return what shows progress in the output of a notebook's cell, live on a terminal, or else in lines.

    ``keys`` are read from the terminal of a command, but not from that of somebody's program.
    """
    if "LOCAL_RANK" in os.environ:  # several processes write to this terminal
        return Plain()
    return Live(keys=keys) if redraws(sys.stderr) else Cell() if is_kernel() else Plain()
