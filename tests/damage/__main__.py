"""Damage copies of run folders, ablations and caches, and read them: python -m tests.damage [N] [SEED]

Makes a finished run, a stopped one, an ablation and a cache, then damages N copies of them, each in one place, and runs
what reads them. The result must be the same as without the damage, or an error with a code, and nothing elsewhere may
change. Also flips N bits of a checkpoint. With --folder, all copies are of one of the four. With --commands, the
readers run as commands; 60 take about ten minutes. Prints each case that is wrong. The exit code is 1 if there is one.
If a command hangs outside Python, the check ends with a traceback and leaves its temporary folder, where the file
`case` names the case.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import tempfile
from pathlib import Path

import pytest

from tests.damage import folders
from tests.damage.cases import PATIENCE, Bench
from tests.damage.flips import undetected
from tests.damage.readers import READERS

MEMORY = 12 << 30
"""Bytes of address space, so that what reads without end fails before the machine's memory is full."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "cases", nargs="?", type=int, metavar="N", help="number of copies; default: 2000, or 60 commands"
    )
    parser.add_argument("seed", nargs="?", type=int, default=0, metavar="SEED", help="the seed of all random choices")
    parser.add_argument("--commands", action="store_true", help="run what reads the copies as commands")
    parser.add_argument(
        "--folder", choices=sorted({reader.folder for reader in READERS.values()}), help="only its copies"
    )
    parser.add_argument("--only", type=int, metavar="NUMBER", help="repeat one case")
    given = parser.parse_args()
    count = given.cases or (60 if given.commands else 2000)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    failed = 0
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        folders.in_haste(patch)
        folders.make(Path(root))
        bench = Bench(Path(root))
        for number in range(count) if given.only is None else (given.only,):
            case = bench.draw(given.seed, number, given.folder)
            (Path(root) / "case").write_text(f"{case}\n")
            faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)  # code outside Python can't be interrupted
            if said := bench.wrong(given.seed, case, in_process=not given.commands):
                failed += 1
                print(f"{case}\n  {said.strip()}", flush=True)
            if sys.stderr.isatty() or (number + 1) % 100 == 0:
                print(
                    f"{number + 1}/{count}, {failed} wrong", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr
                )
        faulthandler.cancel_dump_traceback_later()
        flips = undetected((Path(root) / "stopped/checkpoints/step-000000003.pt").read_bytes(), count, given.seed)
    for place, bit in flips:
        print(f"bit {bit} of byte {place} of a checkpoint: its change is not noticed")
    print(f"{count} damaged copies: {failed} wrong; {count} flipped bits: {len(flips)} not noticed")
    sys.exit(bool(failed or flips))


if __name__ == "__main__":
    main()
