"""Train recipes of two words on small datasets: python -m tests.two_words FOLDER [--models NAME …] [--sets NAME …]

Prints a table of the held-out top-1 and loss with `base MODEL; data folder "SET"`, and with the former defaults, the
paper's batch and rate, for the same number of updates or for ten minutes. Guessing is the best constant prediction: the
frequencies of the classes in training. FOLDER is where datasets and runs are kept; what is there already is not
trained again.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from pathlib import Path

import numpy as np

import recipe
from recipe.inference.datasets import open_sets
from recipe.plan.bind import resolve
from tests.two_words.small_sets import SETS

MODELS = ("resnet18", "mobilenet_v3_small", "timm:convnext_atto")
SUGGESTED = ("lr warmup", "lr cosine", "augment crop", "loss smooth", "norm precise", "optimizer adamw")
BEFORE = "; ".join(("batch 256; lr 0.1; decay 1e-4", *(f"drop {word}" for word in SUGGESTED)))
"""What the paper's dialect has for every dataset."""

LIMIT = "10m"
"""The longest training of those for comparison."""


def guessing(text: str) -> tuple[float, float]:
    """Return the held-out top-1 and loss of the frequencies of the classes in training, as a prediction."""
    sets = open_sets(resolve(text))
    counts = Counter(sets.train.labels.tolist())
    total, held_out = len(sets.train.labels), sets.val.labels.tolist()
    (most, _), *_ = counts.most_common(1)
    return held_out.count(most) / len(held_out), -float(
        np.mean([math.log(counts[label] / total) for label in held_out])
    )


def trained(text: str, folder: Path, limit: str | None = None) -> recipe.Run:
    """Return the run of a recipe in a folder, which is trained if it isn't there yet."""
    if (folder / "summary.json").exists():
        return recipe.load(folder)
    return recipe.run(text, out=folder, max_time=limit)


def before(text: str, now: recipe.Run, folder: Path) -> recipe.Run:
    """Return a run with the former defaults for the same images, size and updates."""
    sized = f"{text} size={now.preprocessing.training_size}; {BEFORE}"
    images = len(open_sets(resolve(text)).train.labels)
    epochs = max(1, round(now.summary["steps"] / resolve(sized).training.steps(images)))
    return trained(f"{sized}; epochs {epochs}", folder, LIMIT)


def main(folder: Path, models: list[str], sets: list[str], compared: bool) -> None:
    print("| dataset | model | guessing | two words | updates | seconds | before | updates |")
    print("|---|---|---|---|---|---|---|---|")
    for name in sets:
        images = folder / name
        if not images.exists():
            SETS[name].write(images)
        for model in models:
            text = f'base {model}; data folder "{images}"'
            where = folder / "runs" / f"{name} {model.replace(':', ' ')}"
            now = trained(text, where)
            cells = [shown(*guessing(text)), *of(now), f"{now.summary['seconds']:.0f}"]
            if compared:
                cells += of(before(text, now, where.with_name(f"{where.name} before")))
            print(f"| {name} | {model} | {' | '.join(cells)} |", flush=True)


def of(run: recipe.Run) -> list[str]:
    """Return the cells of a run: its results and updates."""
    return [shown(run.summary["top1"], run.summary["loss"]), str(run.summary["steps"])]


def shown(top1: float, loss: float) -> str:
    return f"{100 * top1:.1f} %, {loss:.3g}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where datasets and runs are kept")
    parser.add_argument("--models", nargs="+", default=[*MODELS], metavar="NAME")
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS], metavar="NAME")
    parser.add_argument("--no-before", action="store_true", help="leave out the former defaults")
    given = parser.parse_args()
    main(given.folder, given.models, given.sets, not given.no_before)
