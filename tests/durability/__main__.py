"""Run all durability checks, of which CI runs a sample: python -m tests.durability [SEED]

They interrupt every trick at six points, with and without workers, interrupt tricks around their spans and trainings
that freeze, kill a training 200 times, kill one that keeps its best weights 100 times around its writes, send 50
signals to two processes, and end trainings in one process and in two early, 50 times in each of three ways. Each check
prints one line of JSON. The exit code is 1 if any of them fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

FIGURES = {"matrix": 0, "spans": 0, "killing": 200, "keeping": 100, "signalling": 50, "ending": 50}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.durability", description="Run all durability checks.")
    parser.add_argument("seed", nargs="?", type=int, default=0, metavar="SEED", help="the seed of all random choices")
    seed, wrong = str(parser.parse_args().seed), False
    for name, count in FIGURES.items():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", f"tests.durability.{name}", str(count), seed, folder]
            line = subprocess.check_output(command, text=True).splitlines()[-1]
        print(name, line, flush=True)
        wrong |= bool(json.loads(line)["wrong"])
    sys.exit(wrong)


if __name__ == "__main__":
    main()
