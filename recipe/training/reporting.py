"""Report the progress of a run: a live display on a terminal, plain lines elsewhere, and plots of the curves."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from recipe.base import files
from recipe.base.pictures import drawn
from recipe.base.printable import printable
from recipe.base.wording import format_duration, plural
from recipe.runs.best import kept_epoch
from recipe.runs.reader import measured

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from recipe.compiler.program import Program


class Listener:
    """Receives the progress of a run. This base class ignores it."""

    def note(self, text: str) -> None: ...
    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None: ...
    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None: ...
    def epoch(self, number: int, result: dict[str, float]) -> None: ...
    def stop(self) -> None: ...


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


def heading(program: Program) -> list[str]:
    """Describe what is trained, in a few lines."""
    costs, data = program.costs, program.plan.images
    where = f"{data.word}, " if data else ""
    lines = [
        f"{program.plan.model}: {costs.params:,} params, {costs.macs / 1e9:.3g} G MACs at {costs.size}×{costs.size}; "
        f"{where}{program.classes} classes"
    ]
    lines += program.fit.notes if program.fit else ()
    return lines + [step.note for step in program.layer_steps]


def closing(summary: dict[str, Any]) -> str:
    """Summarize a finished run in one line."""
    top5 = f", top-5 {summary['top5']:.2%}" if "top5" in summary else ""
    speed = f" at {summary['images_per_second']:.0f} images/s" if summary["images_per_second"] else ""
    best, done = summary.get("best", {}), summary.get("last", {}).get("epoch", summary["epochs"])
    kept = f" in epoch {best['epoch']:g}, the best by {best['by']}," if summary.get("kept") == "best" else ""
    length = plural(summary["epochs"], "epoch")
    if done < summary["epochs"]:
        length = f"{done:g} of {length}"
    return (
        f"top-1 {summary['top1']:.2%}{top5}, loss {summary['loss']:.4f} on held-out images{kept} "
        f"after {length}, {format_duration(summary['seconds'])}{speed}"
    )


class Plain(Listener):
    """Prints a line for each epoch, for logs."""

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file or sys.stderr
        self.seen: tuple[float, float, float, float] | None = None
        self.total = self.per_epoch = self.first = 0
        self.began = time.monotonic()

    def _say(self, text: str) -> None:
        print(printable(text), file=self.file, flush=True)

    def note(self, text: str) -> None:
        self._say(text)

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        self.total, self.per_epoch, self.first, self.began = steps, steps_per_epoch, step, time.monotonic()
        for line in heading(program):
            self._say(line)
        begin = f" from step {step}" if step else ""
        self._say(f"training {steps} steps, {steps_per_epoch} per epoch{begin}; folder {folder}")

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        self.seen = (loss, top1, rate, speed)
        if step % 100 == 0 and step % self.per_epoch:
            self._say(f"step {step}/{self.total}: loss {loss:.4f}, lr {rate:.4g}, {speed:.0f} images/s")

    def epoch(self, number: int, result: dict[str, float]) -> None:
        trained = ""  # the last step was in an earlier process
        if self.seen:
            loss, _, rate, speed = self.seen
            trained = f"training loss {loss:.4f}, lr {rate:.4g}, {speed:.0f} images/s, "
        done = number * self.per_epoch
        left = (time.monotonic() - self.began) / max(1, done - self.first) * (self.total - done)
        self._say(
            f"epoch {number}/{self.total // self.per_epoch}: top-1 {result['top1']:.2%}, "
            f"held-out loss {result['loss']:.4f}, "
            f"{trained}{format_duration(left)} left"
        )


class Live(Listener):
    """A progress display with loss, top-1, learning rate, images/s and time left, for terminals."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.bar: Bar | None = None
        self.per_epoch = 1
        self.top1 = "–"
        self.smooth: float | None = None

    def _say(self, text: str, style: str = "") -> None:
        self.console.print(printable(text), markup=False, highlight=False, emoji=False, style=style)

    def note(self, text: str) -> None:
        self._say(text, "yellow")

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        for line in heading(program):
            self._say(line)
        self._say(f"folder {folder}", "dim")
        self.per_epoch, self.top1, self.smooth = steps_per_epoch, "–", None
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(
                "loss {task.fields[loss]}  top-1 {task.fields[top1]}  lr {task.fields[lr]}  {task.fields[speed]} img/s"
            ),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.bar.add_task("train", total=steps, completed=step, epoch=1, loss="–", top1="–", lr="–", speed="–")
        self.bar.start()

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        assert self.bar is not None
        self.smooth = loss if self.smooth is None else 0.9 * self.smooth + 0.1 * loss
        self.bar.update(
            self.bar.tasks[0].id,
            completed=step,
            epoch=(step - 1) // self.per_epoch + 1,
            loss=f"{self.smooth:.3f}",
            top1=self.top1,
            lr=f"{rate:.3g}",
            speed=f"{speed:.0f}",
        )

    def epoch(self, number: int, result: dict[str, float]) -> None:
        self.top1 = f"{result['top1']:.2%}"

    def stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def pictures(folder: Path) -> str:
    """Plot loss, accuracy and learning rate over the epochs from `metrics.jsonl` to `curves.png`.

    Return a warning if that fails, or else an empty string.
    """
    return drawn(partial(_curves, folder), [folder / "curves.png"])


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
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    first, *_, last = figure.axes
    first.legend(["training", "held out"] if kept is None else ["training", "held out", "kept"])
    last.set(ylim=(0, None))
    files.write(folder / "curves.png", lambda file: figure.savefig(file, format="png", dpi=110))
