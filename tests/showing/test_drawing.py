"""What is written under the tiles of a sheet."""

from __future__ import annotations

import numpy as np
import pytest

from recipe.showing import drawing
from recipe.showing.drawing import Section, draw, enlarged
from recipe.showing.tiles import Tile


def tile(target: list[float], names: tuple[str, ...] = ("cat", "dog", "owl"), view: str = "", side: int = 32) -> Tile:
    shares = np.array(target, np.float32)
    largest = np.argsort(-shares, kind="stable")[:2].tolist()
    pixels = np.zeros((side, side, 3), np.uint8)
    return Tile(pixels, shares, tuple((names[at], float(shares[at])) for at in largest if shares[at]), 0, view=view)


def caption(shown: Tile, width: int = 200) -> list[str]:
    return [line for line, _ in drawing._caption(shown, width)]


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        ([0, 1, 0], ["dog"]),
        ([0.3, 0.7, 0], ["dog: 70%", "cat: 30%"]),
        ([0.5, 0.5, 0], ["cat: 50%", "dog: 50%"]),
        ([0.05, 0.9, 0.05], ["dog: 90%", "others: 5% each"]),
        ([0.008, 0.9, 0.092], ["dog: 90%", "owl: 9.2%"]),
    ],
)
def test_a_target_is_its_largest_shares(target: list[float], lines: list[str]) -> None:
    assert caption(tile(target)) == lines


def test_a_view_is_named_below() -> None:
    assert caption(tile([1, 0, 0], view="top left, mirrored")) == ["cat", "top left, mirrored"]


def test_long_names_fit() -> None:
    names = ("n02110185 Siberian husky and other dogs of the far north", "x" * 10_000, "猫")
    first, second = caption(tile([1, 0, 0], names), 128)
    assert first == "n02110185"
    assert second.startswith("Siberian ")
    assert second.endswith("north")
    assert "…" in second
    for line in (*caption(tile([0, 1, 0], names), 128), *caption(tile([0.6, 0.4, 0], names), 128)):
        assert drawing._font(drawing.TEXT).getlength(line) <= 128
    assert caption(tile([0.6, 0.4, 0], names), 128)[0].endswith(": 60%")


def test_letters_that_cant_be_drawn_become_escapes() -> None:
    names = ("Küche Собака ωκ", "a\x1b[31m\u202eb\nc", "猫 cat")
    assert caption(tile([1, 0, 0], names)) == [names[0]]
    assert caption(tile([0, 1, 0], names)) == [r"a\x1b[31m\u202eb\nc"]
    assert caption(tile([0, 0, 1], names)) == [r"\u732b cat"]
    assert caption(tile([1, 0, 0], ("Ku\u0308che", "", ""))) == ["Küche"]


def test_small_images_are_enlarged_by_a_whole_factor() -> None:
    assert [Section("", [tile([1, 0, 0], side=side)]).factor for side in (8, 28, 32, 96, 128, 224)] == [
        16,
        5,
        4,
        2,
        1,
        1,
    ]
    gray = np.array([[[0], [200]]], np.uint8)
    assert np.asarray(enlarged(gray, 2)).tolist() == [[[0] * 3] * 2 + [[200] * 3] * 2] * 2


def test_tiles_of_another_size_are_centered() -> None:
    small = tile([1, 0, 0], side=32)
    picture = np.asarray(draw([Section("", [tile([1, 0, 0], side=64), small])]))
    top, left = drawing.MARGIN + drawing.HEADING + drawing.GAP, drawing.MARGIN + 128 + drawing.GAP
    assert picture[top + 31, left + 64].tolist() == [255, 255, 255]
    assert picture[top + 32 : top + 96, left + 32 : left + 96].max() == 0
