"""Draw docs/pictures/diff-page.png, the page that `recipe diff --html` writes, with Chromium.

python -m tests.docs.pictures
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.browser import CHROMIUM, FLAGS
from tests.helpers import ROOT

PICTURE = ROOT / "docs" / "pictures" / "diff-page.png"
SIDES = ("paper/table5-resnet50-b", "paper/table5-resnet50-d")
SIZE = (1100, 900)
"""Width and height of the picture, in pixels."""


def main() -> None:
    if CHROMIUM is None:
        raise SystemExit("Chromium is missing; install it to draw the picture")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "page.png")
        command = [sys.executable, "-m", "recipe", "diff", *SIDES, "--html", str(page)]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        window = "--window-size={},{}".format(*SIZE)
        picture = [CHROMIUM, *FLAGS, "--hide-scrollbars", window, f"--screenshot={shot}", page.as_uri()]
        subprocess.run(picture, check=True)
        with Image.open(shot) as image:
            image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
