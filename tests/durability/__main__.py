"""The full figures of durability, which CI runs a seeded sample of: python -m tests.durability [SEED].

Every trick cut at six points with and without workers; 200 kills; 50 signals to two processes. Prints one line of JSON
for each; the exit status is 1 where anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

FIGURES = {"matrix": 0, "killing": 200, "signalling": 50}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.durability", description="The full figures of durability.")
    parser.add_argument("seed", nargs="?", type=int, default=0, metavar="SEED", help="what they are drawn by")
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
