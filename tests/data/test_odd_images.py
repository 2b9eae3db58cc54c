"""Odd image files give the pixels that they mean, or are refused by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL.Image import MODES
from PIL.TiffImagePlugin import OPEN_INFO

from recipe.base.errors import RecipeError
from recipe.data.decode import decode
from recipe.data.modes import CONVERTED, PREMULTIPLIED, UNBOUNDED
from tests.data.odd_images import SIDE, WIDTH, damaged, draw, faults, whole
from tests.data.writers import netpbm, png, tiff
from tests.helpers import SEED

RECENT = int(PIL.__version__.split(".")[0]) >= 12
"""Whether this Pillow reads every file; older ones refuse some."""

ALL = (0, 0, SIDE, SIDE)


def refusal(path: Path) -> str:
    with pytest.raises(RecipeError) as error:
        decode(path, SIDE, lambda height, width: ALL)
    (found,) = error.value.diagnostics
    assert found.code == "E070"
    assert found.message.startswith(f"the image `{path}` can't be decoded: ")
    return found.message


def test_whole_files_have_the_pixels_that_they_mean(tmp_path: Path) -> None:
    assert faults(whole(SEED), tmp_path, strict=RECENT) == []


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    draws = np.random.default_rng(SEED)
    odds = whole(SEED)
    chosen = [odds[index] for index in draws.choice(len(odds), 40, replace=False)]
    assert faults([broken for odd in chosen for broken in damaged(odd, draws, 1)], tmp_path, strict=False) == []


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (np.random.default_rng(0).random((SIDE, WIDTH, 1), np.float32), (1, 32, 3), "are floats (mode F), without a"),
        (np.full((SIDE, WIDTH, 1), 200, np.int32), (1, 32, 2), "are integers with a sign; convert it to 8-bit RGB"),
        (np.full((SIDE, WIDTH, 1), 200, np.uint32), (1, 32, 1), "integers of 32 bits or with a sign (mode I)"),
        (np.full((SIDE, WIDTH, 1), 200, np.uint16), (1, 16, 1), "are all below 256, which is black; convert it to 8"),
        (np.full((SIDE, WIDTH, 3), 200, np.uint16), (2, 16, 1), "are all below 256, which is black; convert it to 8"),
        (np.full((SIDE, WIDTH, 1), 200, np.uint16), (0, 16, 1), "its largest values are black"),
        (np.full((SIDE, WIDTH, 1), 200, np.uint8), (1, 8, 2), "are integers with a sign"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_values_without_a_stated_range_are_refused_and_not_clipped(
    tmp_path: Path, values: np.ndarray, options: tuple[int, int, int], said: str, order: str
) -> None:
    photometric, bits, sample_format = options
    path = tmp_path / "values.tif"
    path.write_bytes(tiff(values, photometric, bits, order=order, sample_format=sample_format))
    why = refusal(path)
    assert said in why or (order == ">" and "in none of the formats" in why)  # which Pillow doesn't open at all


@pytest.mark.parametrize("plain", [False, True])
def test_ppm_files_of_16_bits_are_refused_if_all_values_have_8(tmp_path: Path, plain: bool) -> None:
    path = tmp_path / "values.ppm"
    path.write_bytes(netpbm(np.full((SIDE, WIDTH, 3), 255, np.uint16), 65535, plain))
    assert "its 16-bit values are all below 386, which is black" in refusal(path)
    path.write_bytes(netpbm(np.full((SIDE, WIDTH, 3), 386, np.uint16), 65535, plain))
    assert decode(path, SIDE, None).max() == 2


def test_inks_of_16_bits_are_refused_if_all_values_have_8(tmp_path: Path) -> None:
    path = tmp_path / "values.tif"
    path.write_bytes(tiff(np.full((SIDE, WIDTH, 4), 255, np.uint16), 5, 16))
    assert "its 16-bit values are all below 256, which is white" in refusal(path)
    path.write_bytes(tiff(np.full((SIDE, WIDTH, 4), 65535, np.uint16), 5, 16))
    assert decode(path, SIDE, None).max() == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_images_of_16_bits_are_as_in_another_reader(tmp_path: Path, channels: int, kind: str) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = draw(np.random.default_rng(0), 16, channels)
    path = tmp_path / "deep"
    path.write_bytes(png(values, channels - 1, 16) if kind == "png" else tiff(values, channels // 2 + 1, 16, order=">"))
    other = imagecodecs.imread(path)[:, :SIDE].reshape(SIDE, SIDE, channels) / 257
    assert np.abs(decode(path, SIDE, lambda height, width: ALL) - other).max() <= 1


def test_every_mode_that_pillow_knows_has_been_considered() -> None:
    read = {mode for mode, _ in OPEN_INFO.values()} | {*MODES}
    assert read <= CONVERTED | PREMULTIPLIED.keys() | UNBOUNDED.keys() | {"I;16", "I;16B", "I;16L", "I;16N", "HSV"}


def test_a_program_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "gs"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "figure.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    assert "in none of the formats" in refusal(path)
    assert not (tmp_path / "started").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes with names")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in refusal(tmp_path / "pipe.jpg")
    assert "is a folder" in refusal(tmp_path)
