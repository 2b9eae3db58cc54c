"""Train examples/full.recipe in full, as in the README: python -m tests.main_job [SEED …]

Each seed (default: 0) must reach a top-1 of 99 %. The test suite trains a smaller network for three epochs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import recipe

FULL = Path(__file__).parents[1] / "examples" / "full.recipe"
LEAST = 0.99


def main(seeds: list[int]) -> int:
    """Return the number of seeds that don't reach `LEAST`."""
    wrong = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            summary = recipe.run(FULL, f"seed {seed}", out=Path(folder) / "run").summary
        print(f"seed {seed}: top-1 {summary['top1']:.2%} in {summary['seconds']:.0f} s", flush=True)
        wrong += summary["top1"] < LEAST
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.main_job", description="Train examples/full.recipe.")
    parser.add_argument(
        "seeds", nargs="*", type=int, default=[0], metavar="SEED", help="a seed to train with (default: 0)"
    )
    sys.exit(bool(main(parser.parse_args().seeds)))
