"""Report the progress of a run: a live display on a terminal, plain lines in a log, and plots of the curves."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import attrs

from recipe.base import files
from recipe.base.pictures import drawn
from recipe.base.printable import printable
from recipe.base.wording import format_duration, plural, with_near_paths
from recipe.runs.beginning import CURVES
from recipe.runs.best import kept_epoch
from recipe.runs.reader import LONGEST, measured
from recipe.runs.records import FINISHED
from recipe.training.keys import Keys

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from recipe.compiler.program import Program


class Listener:
    """Receives the progress of a run, and may end it early. This base class ignores it."""

    def note(self, text: str) -> None: ...
    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None: ...
    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None: ...
    def epoch(self, number: int, result: dict[str, float]) -> None: ...
    def stop(self) -> None: ...

    def asks_to_finish(self) -> bool:
        """Whether to end the run early, as `recipe finish` does. Called about ten times a second, between steps."""
        return False


def repeat_last_step(listener: Listener, folder: Path, step: int) -> None:
    """Report the last step of a run again, which an earlier process has recorded."""
    for line in reversed(measured(folder, last=LONGEST)):
        if line["kind"] == "train" and line["step"] == step:
            listener.step(step, line["loss"], line["top1"], line["lr"], line["images_per_second"])
            return


WIDE = 110
"""Columns of a terminal that has room for the hint on the key next to the bar."""


class Several(Listener):
    """Passes the progress on to several listeners."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = listeners

    def note(self, text: str) -> None:
        for one in self.listeners:
            one.note(text)

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        for one in self.listeners:
            one.start(program, folder, step, steps, steps_per_epoch)

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        for one in self.listeners:
            one.step(step, loss, top1, rate, speed)

    def epoch(self, number: int, result: dict[str, float]) -> None:
        for one in self.listeners:
            one.epoch(number, result)

    def stop(self) -> None:
        for one in self.listeners:
            one.stop()

    def asks_to_finish(self) -> bool:
        return any(one.asks_to_finish() for one in self.listeners)


def beginning(program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> list[str]:
    """Describe what is trained and how long, in a few lines."""
    begin = f" from step {step}" if step else ""
    return [*heading(program), f"training {plural(steps, 'step')}, {steps_per_epoch} per epoch{begin}; folder {folder}"]


def heading(program: Program) -> list[str]:
    """Describe what is trained, in a few lines."""
    costs, data = program.costs, program.plan.images
    where = f"{data.word}, " if data else ""
    lines = [
        f"{program.plan.model}: {costs.params:,} params, {costs.macs / 1e9:.3g} G MACs at {costs.size}×{costs.size}; "
        f"{where}{plural(program.classes, 'class')}"
    ]
    lines += program.fit.notes if program.fit else ()
    return lines + [step.note for step in program.layer_steps]


def closing(summary: dict[str, Any]) -> str:
    """Summarize a run that is over in one line."""
    top5 = f", top-5 {summary['top5']:.2%}" if "top5" in summary else ""
    speed = f", {summary['images_per_second']:.0f} images/s in training" if summary["images_per_second"] else ""
    test = summary.get("test")
    tested = f"; top-1 {test['top1']:.2%}, loss {test['loss']:.4f} on test images" if test else ""
    best = summary.get("best", {})
    kept = f" in epoch {best['epoch']:g}, the best by {best['by']}," if summary.get("kept") == "best" else ""
    return (
        f"top-1 {summary['top1']:.2%}{_balanced(summary)}{top5}, loss {summary['loss']:.4f} on held-out images{kept} "
        f"after {_length(summary)}, {format_duration(summary['seconds'])}{speed}{tested}"
    )


def _balanced(result: Mapping[str, Any]) -> str:
    """Return the balanced accuracy in parentheses, if it is known."""
    return f" (balanced {result['balanced']:.2%})" if result.get("balanced") is not None else ""


def _length(summary: dict[str, Any]) -> str:
    planned = plural(summary.get("planned_epochs", summary["epochs"]), "epoch")
    if summary["status"] == FINISHED:
        return planned if summary["epochs"] == summary.get("planned_epochs") else f"{summary['epochs']:g} of {planned}"
    return f"{plural(summary['steps'], 'step')}, {summary['epochs']:.2f} of {planned} (ended early)"


@attrs.define
class EpochLine:
    """Makes the line of each epoch. ``total`` and ``per_epoch`` are steps, and ``first`` those done before the start.

    The training loss, top-1 and images per second are those of the steps of the epoch, or of the part of it since the
    run was resumed. The time that is left is extrapolated from all the time so far, and so includes evaluation.
    """

    total: int
    per_epoch: int
    first: int
    began: float = attrs.field(factory=time.monotonic)
    _last: int = attrs.field(init=False)
    _loss: float = 0.0
    _top1: float = 0.0
    _steps: int = 0
    _durations: float = 0.0
    """The time of the steps of the epoch, as that of an image."""
    _rate: float = 0.0

    def __attrs_post_init__(self) -> None:
        self._last = self.first

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        """Take the means of the steps since the last call."""
        steps = max(1, step - self._last)
        self._last = step
        self._loss, self._top1, self._steps = self._loss + steps * loss, self._top1 + steps * top1, self._steps + steps
        self._durations, self._rate = self._durations + steps / max(speed, 1e-9), rate

    def text(self, number: int, result: dict[str, float]) -> str:
        """Return the line of an epoch, and begin the next one."""
        held_out = f"held-out loss {result['loss']:.4f}, top-1 {result['top1']:.2%}{_balanced(result)}"
        left = self._left(number * self.per_epoch)
        rest = f"{self._rest}{left}{' with evaluation' if left else ''}"
        line = f"epoch {number}/{self.total // self.per_epoch}: {self._trained}{held_out}{rest}"
        self._loss, self._top1, self._steps, self._durations = 0.0, 0.0, 0, 0.0
        return line

    def so_far(self) -> str:
        """Return the line of the epoch in progress."""
        number = (self._last - 1) // self.per_epoch + 1
        step = self._last - (number - 1) * self.per_epoch
        where = f"epoch {number}/{self.total // self.per_epoch}, step {step}/{self.per_epoch}"
        return f"{where}: {self._trained.removesuffix('; ')}{self._rest}{self._left(self._last)}"

    @property
    def _trained(self) -> str:
        if not self._steps:
            return ""
        return f"training loss {self._loss / self._steps:.4f}, top-1 {self._top1 / self._steps:.2%}; "

    @property
    def _rest(self) -> str:
        return f"; lr {self._rate:.4g}, {self._steps / self._durations:.0f} images/s in training" if self._steps else ""

    def _left(self, done: int) -> str:
        """Return the time that is left after this many steps, if it is known and there are more."""
        if not self.first < done < self.total:
            return ""
        seconds = (time.monotonic() - self.began) / (done - self.first) * (self.total - done)
        return f", {format_duration(seconds)} left"


class Plain(Listener):
    """Prints a line for each epoch, for logs."""

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file or sys.stderr
        self.line = EpochLine(1, 1, 0)

    def _say(self, text: str) -> None:
        print(printable(with_near_paths(text)), file=self.file, flush=True)

    def note(self, text: str) -> None:
        self._say(text)

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        self.line = EpochLine(steps, steps_per_epoch, step)
        for line in beginning(program, folder, step, steps, steps_per_epoch):
            self._say(line)

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        self.line.step(step, loss, top1, rate, speed)
        if step % 100 == 0 and step % self.line.per_epoch:
            self._say(f"step {step}/{self.line.total}: loss {loss:.4f}, lr {rate:.4g}, {speed:.0f} images/s")

    def epoch(self, number: int, result: dict[str, float]) -> None:
        self._say(self.line.text(number, result))


class Live(Listener):
    """A progress display for terminals: a bar of the current epoch, and a line for each epoch above it.

    The key q ends the run early, unless keys are not to be read.
    """

    def __init__(self, *, keys: bool = True) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.keys = Keys(lambda shown: self.console.show_cursor(shown))
        self.reads_keys = keys
        self.bar: Bar | None = None
        self.line = EpochLine(1, 1, 0)
        self.top1 = "–"
        self.smooth: float | None = None
        self.asked = False
        """Whether the key has been typed, since more than one look may follow."""

    def _say(self, text: str, style: str = "") -> None:
        self.console.print(printable(with_near_paths(text)), markup=False, highlight=False, emoji=False, style=style)

    def note(self, text: str) -> None:
        self._say(text, "yellow")

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        for line in heading(program):
            self._say(line)
        reads_keys = self.reads_keys and self.keys.start()
        self._say(f"folder {folder}{'; press q to end early' * reads_keys}", "dim")
        self.line, self.top1, self.smooth = EpochLine(steps, steps_per_epoch, step), "–", None
        hint = [TextColumn("[dim]q: end early")] if reads_keys and self.console.width >= WIDE else []
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(
                "loss {task.fields[loss]}  top-1 {task.fields[top1]}  lr {task.fields[lr]}  {task.fields[speed]} img/s"
            ),
            TimeRemainingColumn(),
            *hint,
            console=self.console,
        )
        epoch = min(step, steps - 1) // steps_per_epoch + 1
        self.bar.add_task("train", total=steps, completed=step, epoch=epoch, loss="–", top1="–", lr="–", speed="–")
        self.bar.start()

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        assert self.bar is not None
        self.line.step(step, loss, top1, rate, speed)
        self.smooth = loss if self.smooth is None else 0.9 * self.smooth + 0.1 * loss
        self.bar.update(
            self.bar.tasks[0].id,
            completed=step,
            epoch=(step - 1) // self.line.per_epoch + 1,
            loss=f"{self.smooth:.3f}",
            top1=self.top1,
            lr=f"{rate:.3g}",
            speed=f"{speed:.0f}",
        )

    def epoch(self, number: int, result: dict[str, float]) -> None:
        self.top1 = f"{result['top1']:.2%}"
        self._say(self.line.text(number, result))

    def asks_to_finish(self) -> bool:
        self.asked = self.asked or self.keys.pressed("q")
        return self.asked

    def stop(self) -> None:
        self.keys.stop()
        if self.bar is not None:
            self.bar.stop()


def pictures(folder: Path) -> str:
    """Plot loss, accuracy and learning rate over the epochs from `metrics.jsonl` to `curves.png`.

    Return a warning if that fails, or else an empty string.
    """
    return drawn(partial(_curves, folder), [folder / CURVES])


LOG_FROM = 100.0
"""The ratio of the largest loss to the smallest from which on a figure has a logarithmic axis."""


def _curves(folder: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = measured(folder)
    training = [line for line in lines if line["kind"] == "train"]
    held_out = [line for line in lines if line["kind"] == "evaluation"]
    faint, dotted = {"color": "tab:blue", "alpha": 0.35, "lw": 1}, {"color": "tab:orange", "marker": "."}
    curves: dict[str, list[tuple[list[dict[str, Any]], str, dict[str, Any]]]] = {
        "loss": [(training, "loss", faint), (held_out, "loss", dotted)],
        "top-1 (%)": [(training, "top1", faint), (held_out, "top1", dotted)],
        "learning rate": [(training, "lr", {"color": "tab:green"})],
    }
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    kept = kept_epoch(folder)
    for axes, (title, lines_of) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        scale = 100 if "%" in title else 1
        for values, name, style in lines_of:
            axes.plot([line["epoch"] for line in values], [scale * line[name] for line in values], **style)
        if kept is not None:
            axes.axvline(kept, color="tab:gray", ls=":", lw=1)
        axes.set(title=title, xlabel="epoch")
        shown = [line[name] for values, name, _ in lines_of for line in values if line[name] > 0]
        if title == "loss" and shown and max(shown) > LOG_FROM * min(shown):
            axes.set(yscale="log")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    first, *_, last = figure.axes
    first.legend(["training", "held out"] if kept is None else ["training", "held out", "kept"])
    last.set(ylim=(0, None))
    files.write(folder / CURVES, lambda file: figure.savefig(file, format="png", dpi=110))
