"""Render parts of a summary as text, for diffs and explanations: costs, the loss, the learning rate."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from recipe.base.wording import plural
from recipe.compiler.summary import Schedule


def amount(name: str, value: int) -> str:
    """Format a cost for display."""
    if name != "activation_bytes":
        return f"{value:,}"
    if value < 1000:
        return f"{value} B"
    return f"{value / 1e6:,.2f} MB" if value >= 1e5 else f"{value / 1e3:,.1f} kB"


def training_terms(schedule: Schedule) -> list[str]:
    """Describe the loss and its targets, one line each."""
    mixes = f", mixed by {listed_terms(schedule.mixes)}" if schedule.mixes else ""
    return [f"loss: {listed_terms(schedule.terms)}", f"targets: {shown_target(schedule.targets)}{mixes}"]


def listed_terms(terms: Sequence[str]) -> str:
    """Format terms as a sum."""
    return " + ".join(terms) if terms else "nothing"


def shown_target(target: tuple[float, float]) -> str:
    """Describe the target probabilities of the true class and of every other class."""
    return f"{target[0]:.4g} for the true class and {target[1]:.4g} for every other class"


def plot(a: Schedule, b: Schedule | None = None, width: int = 64, height: int = 8) -> Text:
    """Plot learning rates over the epochs: ``a`` and ``b`` mark the two curves, ``=`` marks where they coincide."""
    schedules = [("a", a)] + ([("b", b)] if b else [])
    high = max(schedule.highest for _, schedule in schedules) or 1.0
    epochs = max(schedule.epochs for _, schedule in schedules)
    grid = [[" "] * width for _ in range(height)]
    for mark, schedule in schedules:
        for column in range(width):
            place = column / (width - 1) * epochs / schedule.epochs
            if place > 1:
                break
            rate = schedule.rates[round(place * (len(schedule.rates) - 1))]
            row = height - 1 - round(rate / high * (height - 1))
            grid[row][column] = mark if grid[row][column] == " " or not b else "="
    text = Text("learning rate: a for A, b for B, = for both\n" if b else "")
    margin = len(f"{high:.4g}")
    for index, line in enumerate(grid):
        label = f"{high:.4g}" if index == 0 else "0" if index == height - 1 else ""
        text.append(f"{label:>{margin}} ┤")
        for letter in line:
            text.append(letter, {"a": "cyan", "b": "magenta", "=": "bold"}.get(letter, ""))
        text.append("\n")
    text.append(f"{'':>{margin}} └{'─' * width}\n")
    text.append(f"{'':>{margin}}  0{plural(epochs, 'epoch'):>{width - 1}}")
    return text
