"""How fast trainings are, beside hand-written ones, and where their time goes.

Run on an idle machine, from the root of the repository: python -m tests.benchmarks.training [--quick] [PART …]
What is compared takes turns in one process, round by round, after a round that is not counted; a ratio is taken within
a round. On CUDA the batches are larger.
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
    "colour jitter": "augment jitter",
    "PCA noise": "augment pca-noise",
    "flip": "augment flip",
    "crop": "augment crop",
    "no bias decay": "decay 1e-4 no-bias",
    "zero gamma": "init zero-gamma",
    "Nesterov momentum for plain": "optimizer nag",
    "distillation from a ResNet-18": 'loss distill "{teacher}"',
}
"""What is laid over `PLAIN` to turn each on."""


# (d): tricks


def tricks(settings: Settings, device: torch.device) -> list[str]:
    """What each trick adds to a step."""
    lines = [
        "### What tricks cost",
        "",
        f"The time of a step with a trick over that without: ResNet-50, {SIZE} × {SIZE} pixels, batches "
        f"of {settings.trick_batch}, on the same batch again and again; {settings.trick_rounds} rounds of "
        f"{settings.trick_steps} step{'s' * (settings.trick_steps > 1)} each. Middle half is of the rounds.",
        "",
        "| | statement | more time, median | middle half | lowest to highest |",
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
        for name, statement in {"none (how far it can be told)": "", **TRICKS}.items():
            statements = [statement.format(teacher=teacher)] if statement else []
            with repeatable(device):  # as a run is
                taken = turns({"without": without, "with": turn(*statements)}, settings.trick_rounds)
            more = sorted(100 * (b / a - 1) for a, b in zip(taken["without"], taken["with"], strict=True))
            shown = f"`{statement.format(teacher='teacher.recipe')}`" if statement else ""
            middle = more[len(more) // 4], more[-1 - len(more) // 4]
            cells = f"{statistics.median(more):+.1f} % | {middle[0]:+.1f} to {middle[1]:+.1f} %"
            lines.append(f"| {name} | {shown} | {cells} | {more[0]:+.1f} to {more[-1]:+.1f} % |")
    return lines


PARTS = {"rewritten": rewritten, "files": from_files, "tricks": tricks, "host": host}


def section(quick: bool = False, parts: tuple[str, ...] = tuple(PARTS)) -> list[str]:
    """The measurements, as lines of Markdown."""
    device = pick()
    settings = Settings.of(device, quick)
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else f"the CPU, {torch.get_num_threads()} threads"
    where = "CUDA" if cuda else "a CPU"
    lines = [f"## Training on {where}", "", f"On {name}, torch {torch.__version__}. All that is compared takes turns."]
    for part in parts:
        lines += ["", *PARTS[part](settings, device)]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Time trainings, and print the measurements as Markdown.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="as little as shows that all works")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    print("\n".join(section(asked.quick, tuple(asked.parts) or tuple(PARTS))))


if __name__ == "__main__":
    main()
