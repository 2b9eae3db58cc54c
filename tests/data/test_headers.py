"""What decoding ignores is reported from the headers of some images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from recipe.data.headers import LOOKED_AT, ignored_in
from tests.data.odd_images import draw
from tests.data.writers import tiff


def turned(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path


def plain(path: Path, mode: str = "RGB", **options: object) -> Path:
    Image.new(mode, (8, 8)).save(path, **options)
    return path


def test_plain_images_have_no_notes(tmp_path: Path) -> None:
    upright, broken = turned(tmp_path / "a.jpg", 1), tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    turned_tiff = tmp_path / "t.tif"
    turned_tiff.write_bytes(tiff(draw(np.random.default_rng(0), 8, 3), 2, tags={0x112: (3, [6])}))
    paths = [upright, plain(tmp_path / "b.png"), broken, tmp_path / "gone.png", turned_tiff]
    assert list(ignored_in(paths, "training")) == []
    assert list(ignored_in([], "training")) == []


def test_an_orientation_and_transparency_are_counted(tmp_path: Path) -> None:
    paths = [
        plain(tmp_path / "a.png"),
        turned(tmp_path / "b.jpg", 6),
        turned(tmp_path / "c.webp", 3),
        plain(tmp_path / "d.png", "RGBA"),
        plain(tmp_path / "e.png", "P", transparency=0),
        plain(tmp_path / "f.gif", "P", transparency=0),
        plain(tmp_path / "g.png", "LA"),
    ]
    assert list(ignored_in(paths, "held-out")) == [
        f"2 of 7 held-out images have an EXIF orientation, which is ignored, such as `{tmp_path}/b.jpg`",
        f"4 of 7 held-out images have transparency, which is ignored, such as `{tmp_path}/d.png`",
    ]


def test_of_many_images_some_are_looked_at(tmp_path: Path) -> None:
    path = turned(tmp_path / "a.jpg", 6)
    for number, looked in ((LOOKED_AT, 100), (LOOKED_AT + 1, 51), (10 * LOOKED_AT, 100), (10 * LOOKED_AT + 1, 91)):
        (note,) = ignored_in([path] * number, "training")
        assert note.startswith(f"{looked} of {looked} training images")
        assert ("that were looked at" in note) == (number > looked)
