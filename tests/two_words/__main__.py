"""Train recipes of two words on small datasets: python -m tests.two_words FOLDER [--models NAME …] [--sets NAME …]

Prints a table of the held-out top-1 and loss with `base MODEL; data folder "SET"`, and with the paper's batch and
rate for the same number of updates. Guessing is the best constant prediction: the frequencies of the classes in
training. FOLDER is where datasets and runs are kept; what is there already is not trained again.
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
BEFORE = "batch 256; lr 0.1"
"""What the paper's dialect has for every dataset."""


def guessing(text: str) -> tuple[float, float]:
    """Return the held-out top-1 and loss of the frequencies of the classes in training, as a prediction."""
    sets = open_sets(resolve(text))
    counts = Counter(sets.train.labels.tolist())
    total, held_out = len(sets.train.labels), sets.val.labels.tolist()
    (most, _), *_ = counts.most_common(1)
    return held_out.count(most) / len(held_out), -float(
        np.mean([math.log(counts[label] / total) for label in held_out])
    )


def trained(text: str, folder: Path) -> recipe.Run:
    """Return the run of a recipe in a folder, which is trained if it isn't there yet."""
    return recipe.load(folder) if (folder / "summary.json").exists() else recipe.run(text, out=folder)


def main(folder: Path, models: list[str], sets: list[str]) -> None:
    print("| dataset | model | guessing | two words | before | updates | seconds |\n|---|---|---|---|---|---|---|")
    for name in sets:
        images = folder / name
        if not images.exists():
            SETS[name].write(images)
        for model in models:
            text = f'base {model}; data folder "{images}"'
            where = folder / "runs" / f"{name} {model.replace(':', ' ')}"
            now = trained(text, where)
            steps = now.summary["steps"]
            training = resolve(text, BEFORE).training
            per_epoch = training.steps(len(open_sets(resolve(text)).train.labels))
            epochs = max(1, round(steps / per_epoch))
            size = now.preprocessing.training_size
            same = f"{text} size={size}; {BEFORE}; epochs {epochs}"
            old = trained(same, where.with_name(f"{where.name} before"))
            shown = [guessing(text), *((run.summary["top1"], run.summary["loss"]) for run in (now, old))]
            cells = [f"{100 * top1:.1f} %, {loss:.3g}" for top1, loss in shown]
            print(f"| {name} | {model} | {' | '.join(cells)} | {steps} | {now.summary['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where datasets and runs are kept")
    parser.add_argument("--models", nargs="+", default=[*MODELS], metavar="NAME")
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS], metavar="NAME")
    given = parser.parse_args()
    main(given.folder, given.models, given.sets)
