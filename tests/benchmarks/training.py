"""Compare the speed of training with hand-written code, and show where the time goes.

Run it on an idle machine, from the root of the repository: python -m tests.benchmarks.training [--quick] [PART …]
The sides of a comparison take turns in one process. The first round is not counted, and each ratio is within a round.
Batches are larger on CUDA.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

import torch

from recipe.devices.choice import pick, repeatable
from tests.benchmarks.clocks import Turn, seconds, turns
from tests.benchmarks.from_files import from_files
from tests.benchmarks.host import host
from tests.benchmarks.rewritten import rewritten
from tests.benchmarks.settings import FAST, SIZE, Settings
from tests.benchmarks.timed import made_up, plan_of, stepping, trainer_of

PLAIN = f"base resnet50; data fake size={SIZE} classes=1000 workers=0; optimizer sgd; lr 0.01; decay 1e-4; {FAST}"
TEACHER = f"base resnet18; data fake size={SIZE} classes=1000; {FAST}"
TRICKS = {
    "label smoothing": "loss smooth 0.1",
    "mixup": "augment mixup 0.2",
    "cutmix": "augment cutmix 1.0",
    "moving average": "ema 0.999",
    "color jitter": "augment jitter",
    "PCA noise": "augment pca-noise",
    "flip": "augment flip",
    "crop": "augment crop",
    "no bias decay": "decay 1e-4 no-bias",
    "zero gamma": "init zero-gamma",
    "Nesterov instead of plain momentum": "optimizer nag",
    "distillation from a ResNet-18": 'loss distill "{teacher}"',
}
"""The statement that turns on each trick in `PLAIN`."""


# (d): tricks


def tricks(settings: Settings, device: torch.device) -> list[str]:
    """Measure what each trick adds to the time of a step."""
    lines = [
        "### What tricks cost",
        "",
        f"Time of a step with a trick, relative to a step without it: ResNet-50, {SIZE} × {SIZE} pixels, batches of "
        f"{settings.trick_batch}, always the same batch; {settings.trick_rounds} rounds of "
        f"{settings.trick_steps} step{'s' * (settings.trick_steps > 1)} each. The middle half "
        "leaves out the lowest and the highest quarter of the rounds.",
        "",
        "| | statement | extra time, median | middle half | lowest to highest |",
        "|---|---|---|---|---|",
    ]
    batch, sets = made_up(settings.trick_batch, SIZE, 1000, device)
    size = f"batch {settings.trick_batch}"

    def turn(*statements: str) -> Turn:
        trainer = trainer_of(plan_of(PLAIN, size, *statements), sets, device)
        return partial(seconds, stepping(trainer, batch), settings.trick_steps, device)

    without = turn()
    with tempfile.TemporaryDirectory() as folder:
        teacher = Path(folder) / "teacher.recipe"
        teacher.write_text(TEACHER)
        for name, statement in {"none (the measurement noise)": "", **TRICKS}.items():
            statements = [statement.format(teacher=teacher)] if statement else []
            with repeatable(device):  # as in a run
                taken = turns({"without": without, "with": turn(*statements)}, settings.trick_rounds)
            more = sorted(100 * (b / a - 1) for a, b in zip(taken["without"], taken["with"], strict=True))
            shown = f"`{statement.format(teacher='teacher.recipe')}`" if statement else ""
            middle = more[len(more) // 4], more[-1 - len(more) // 4]
            cells = f"{statistics.median(more):+.1f} % | {middle[0]:+.1f} to {middle[1]:+.1f} %"
            lines.append(f"| {name} | {shown} | {cells} | {more[0]:+.1f} to {more[-1]:+.1f} % |")
    return lines


PARTS = {"rewritten": rewritten, "files": from_files, "tricks": tricks, "host": host}


def section(quick: bool = False, parts: tuple[str, ...] = tuple(PARTS)) -> list[str]:
    """Return the measurements as lines of Markdown."""
    device = pick()
    settings = Settings.of(device, quick)
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else f"the CPU, {torch.get_num_threads()} threads"
    where = "CUDA" if cuda else "a CPU"
    lines = [
        f"## Training on {where}",
        "",
        f"On {name}, torch {torch.__version__}. The sides of each comparison take turns.",
    ]
    for part in parts:
        lines += ["", *PARTS[part](settings, device)]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Time training and print the measurements as Markdown.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="measure just enough to show that everything works")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    print("\n".join(section(asked.quick, tuple(asked.parts) or tuple(PARTS))))


if __name__ == "__main__":
    main()
