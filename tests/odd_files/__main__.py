"""Read odd files of every kind: python -m tests.odd_files FOLDER [COUNT] [SEED]

Makes COUNT files (5,000 by default) in a new FOLDER: of every format, mode and depth, turned, transparent, interlaced,
damaged, huge by their headers, with odd names, and what isn't an image. Each must have the right pixels, be named as
unreadable, or be ignored with a note. Pixels are compared with what was drawn, and with what OpenCV reads if it is
installed. Prints what is wrong, and a table by kind. The exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.odd_files.judging import judged
from tests.odd_files.making import made
from tests.odd_files.reading import AVAILABLE, available


def main(folder: str, count: str = "5000", seed: str = "0") -> int:
    """Make and judge files, and print the result."""
    root = Path(folder).absolute() / "images"
    root.mkdir(parents=True)
    found = judged(root, filter(available, made(int(count), int(seed))))
    print("\n".join([*found.wrong, found.table()]))
    print(f"{found.compared} compared with OpenCV" if AVAILABLE else "not compared: OpenCV isn't installed")
    return int(bool(found.wrong))


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
