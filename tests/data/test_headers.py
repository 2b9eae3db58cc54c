"""Transparency, and orientations that are ignored, are reported from the headers of some images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.ImageFile import ImageFile

from recipe.data.appearance import AS_STORED, VIEWED, Appearance
from recipe.data.headers import LOOKED_AT, header_of, noticed_in
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
    assert list(noticed_in(paths, "training", AS_STORED)) == []
    assert list(noticed_in([], "training", VIEWED)) == []


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
    assert list(noticed_in(paths, "held-out", AS_STORED)) == [
        f"2 of 7 held-out images have an EXIF orientation, which is ignored, such as `{tmp_path}/b.jpg`",
        f"4 of 7 held-out images have transparency, which is ignored, such as `{tmp_path}/d.png`",
    ]
    assert list(noticed_in(paths, "held-out", Appearance("exif", "gray"))) == [
        f"4 of 7 held-out images have transparency, which is shown on gray, such as `{tmp_path}/d.png`",
    ]


def test_a_header_has_the_height_and_width_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    Image.new("RGB", (8, 5)).save(tmp_path / "a.jpg", exif=exif)
    for appearance, sides in ((VIEWED, (5, 8)), (AS_STORED, (8, 5))):
        header = header_of(tmp_path / "a.jpg", appearance)
        assert (header.width, header.height) == sides
        assert header.turned


def test_the_header_of_a_png_file_is_read_without_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain(tmp_path / "a.png", "RGBA")
    monkeypatch.setattr(ImageFile, "load", None)
    assert header_of(path, VIEWED).transparent


def test_of_many_images_some_are_looked_at(tmp_path: Path) -> None:
    path = turned(tmp_path / "a.jpg", 6)
    for number, looked in ((LOOKED_AT, 100), (LOOKED_AT + 1, 51), (10 * LOOKED_AT, 100), (10 * LOOKED_AT + 1, 91)):
        (note,) = noticed_in([path] * number, "training", AS_STORED)
        sample = "a sample of " if number > looked else ""
        assert note.startswith(f"{looked} of {sample}{looked} training images have")
