"""The main job, whole: python -m tests.main_job [SEED …]

examples/full.recipe is trained as the README says, with each seed (0 where none is named), and must get to 99 %. The
suite trains a smaller network for three epochs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import recipe

FULL = Path(__file__).parents[1] / "examples" / "full.recipe"
LEAST = 0.99


def main(seeds: list[int]) -> int:
    wrong = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            summary = recipe.run(FULL, f"seed {seed}", out=Path(folder) / "run").summary
        print(f"seed {seed}: top-1 {summary['top1']:.2%} in {summary['seconds']:.0f} s", flush=True)
        wrong += summary["top1"] < LEAST
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main([*map(int, sys.argv[1:])] or [0])))
