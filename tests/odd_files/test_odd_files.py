"""A sample of the odd files have the right pixels, are named, or are ignored with a note."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL
import pytest

from tests.helpers import SEED
from tests.odd_files.judging import COLUMNS, WRONG, Judged, judged
from tests.odd_files.making import EITHER, NAMED, RIGHT, Made, made
from tests.odd_files.reading import AVAILABLE, available


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 12, reason="older versions of Pillow refuse some files")
def test_a_sample_of_odd_files(tmp_path: Path) -> None:
    files = [one for one in made(150, SEED) if available(one)]
    found = judged(tmp_path, files)
    assert found.wrong == ()
    assert sum(found.counts.values()) == len(files)


def only(tmp_path: Path, **fields: object) -> Judged:
    from tests.data.writers import png

    pixels = np.full((24, 24, 3), 9, np.uint8)
    values: dict = {"kind": "k", "name": "a.png", "content": png(pixels, 2), "expected": RIGHT, "truth": pixels}
    return judged(tmp_path, [Made(**values | fields)])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"truth": np.full((24, 24, 3), 12, np.uint8)}, "its pixels are off by 3.0"),
        ({"truth": np.full((24, 23, 3), 9, np.uint8)}, "its pixels are off by 256.0"),
        ({"content": b"no image"}, "can't be decoded: its content is damaged"),
        ({"expected": NAMED}, "it is decoded"),
        ({"expected": EITHER, "truth": np.full((24, 24, 3), 12, np.uint8), "near": -1.0}, "its pixels are off by 3.0"),
        ({"name": "a.text"}, "is not found"),
        ({"orientation": 6, "content": None, "place": lambda path: path.write_bytes(b"")}, "the file is empty"),
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, fields: dict, said: str) -> None:
    found = only(tmp_path, **fields)
    assert any(said in line for line in found.wrong), found.wrong
    assert found.counts["k", WRONG] == 1


def test_the_table_has_a_row_for_each_kind(tmp_path: Path) -> None:
    lines = only(tmp_path).table().splitlines()
    assert lines[0] == f"| kind | {' | '.join(COLUMNS)} |"
    assert lines[2:] == ["| k | 1 |  |  |  |  |  |", "| all | 1 | 0 | 0 | 0 | 0 | 0 |"]


@pytest.mark.skipif(not AVAILABLE, reason="OpenCV is not installed")
def test_another_reader_is_asked(tmp_path: Path) -> None:
    assert only(tmp_path).compared == 1
