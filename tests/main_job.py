"""Train a shipped example as the README says: python -m tests.main_job [full|first] [SEED …]

Each seed (default: 0) must reach a top-1 of 99 % with `full` and of 95 % with `first`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import recipe

EXAMPLES = Path(__file__).parents[1] / "examples"
LEAST = {"full": 0.99, "first": 0.95}


def main(name: str, seeds: list[int]) -> int:
    """Return the number of seeds that don't reach the least top-1 of an example."""
    wrong = 0
    for seed in seeds:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            summary = recipe.run(EXAMPLES / f"{name}.recipe", f"seed {seed}", out=Path(folder) / "run").summary
        print(f"seed {seed}: top-1 {summary['top1']:.2%} in {time.monotonic() - began:.0f} s", flush=True)
        wrong += summary["top1"] < LEAST[name]
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.main_job", description="Train a shipped example.")
    parser.add_argument("name", nargs="?", default="full", choices=LEAST, help="the example (default: full)")
    parser.add_argument("seeds", nargs="*", type=int, default=[0], metavar="SEED", help="seeds (default: 0)")
    given = parser.parse_args()
    sys.exit(bool(main(given.name, given.seeds)))
