"""Interrupt every trick at six points, with and without workers. Resumed runs must give the same bits.

python -m tests.durability.matrix TRIALS SEED FOLDER prints one line of JSON. 0 trials means all of them.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import torch

from tests.builtins import write_files
from tests.durability.trials import POINTS, WORDS, cut_and_resume, outcome, train
from tests.helpers import arguments

ALL = list(itertools.product(WORDS, (0, 2), POINTS))


def main(trials: int, seed: int, folder: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    files = folder / "files"
    files.mkdir(parents=True)
    write_files(files)
    chosen = sorted(random.Random(seed).sample(ALL, trials), key=ALL.index) if trials else ALL
    report: dict[str, Any] = {"trials": 0, "equal": 0, "wrong": []}
    whole: dict[tuple[str, int], str] = {}
    for word, workers, point in chosen:
        key, name = (word, workers), f"{word}, {workers} workers"
        try:
            if key not in whole:
                whole[key] = outcome(train(word, workers, files, folder / "runs" / f"{name} whole").folder)
            report["trials"] += 1
            if cut_and_resume(word, point, workers, files, folder / "runs" / f"{name} {point}") == whole[key]:
                report["equal"] += 1
            else:
                report["wrong"].append(f"{name}, interrupted at {point}")
            shutil.rmtree(folder / "runs" / f"{name} {point}")
        except Exception as error:
            report["wrong"].append(f"{name}, interrupted at {point}: {error}")
    return report


if __name__ == "__main__":
    print(json.dumps(main(*arguments(__doc__))))
