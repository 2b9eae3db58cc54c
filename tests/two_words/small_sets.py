"""Twelve small datasets, drawn or from scikit-learn: folders of images in class folders, the same on every machine."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits, load_sample_image

Draws = np.random.Generator
Pixels = npt.NDArray[np.uint8]
Draw = Callable[[int, int, int, Draws], Image.Image]
"""Draws the image of a class and a number in it, both from 0, with a side in pixels."""


@attrs.frozen
class SmallSet:
    """A dataset: how to draw an image of each class, and how many."""

    draw: Draw
    side: int
    counts: tuple[int, ...]
    """The number of images of each class, for training and evaluation together."""

    @property
    def images(self) -> int:
        return sum(self.counts)

    def write(self, folder: Path) -> Path:
        """Write the images as PNG files into a folder for each class, and return the folder."""
        for label, count in enumerate(self.counts):
            (place := folder / f"class-{label:02}").mkdir(parents=True)
            for number in range(count):
                draws = np.random.default_rng([label, number])
                self.draw(label, number, self.side, draws).save(place / f"{number:04}.png")
        return folder


@cache
def _digits() -> Any:
    return load_digits()


def _noise(side: int, draws: Draws, low: int = 0, high: int = 90) -> Image.Image:
    return Image.fromarray(draws.integers(low, high, (side, side, 3), dtype=np.uint8))


def _shape(label: int, number: int, side: int, draws: Draws) -> Image.Image:
    """A bright polygon of 3 + label corners, somewhere on noise."""
    image = _noise(side, draws)
    radius, turn = side * draws.uniform(0.22, 0.38), draws.uniform(0, 2 * math.pi)
    x, y = draws.uniform(radius, side - radius, 2)
    angles = (turn + 2 * math.pi * corner / (3 + label) for corner in range(3 + label))
    points = [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
    ImageDraw.Draw(image).polygon(points, fill=tuple(draws.integers(120, 256, 3).tolist()))
    return image


def _grating(label: int, number: int, side: int, draws: Draws) -> Image.Image:
    """Stripes of one of four directions and two widths, with noise."""
    angle, width = (label % 4) * math.pi / 4 + draws.normal(0, 0.08), (5, 11)[label // 4]
    y, x = np.mgrid[:side, :side]
    wave = np.sin((x * math.cos(angle) + y * math.sin(angle)) * 2 * math.pi / width + draws.uniform(0, 6))
    shades = 127 + 60 * wave[:, :, None] * draws.uniform(0.5, 1, 3) + draws.normal(0, 40, (side, side, 3))
    return Image.fromarray(shades.clip(0, 255).astype(np.uint8))


def _letter(label: int, number: int, side: int, draws: Draws) -> Image.Image:
    """A letter or digit, turned a little."""
    text = (string.ascii_uppercase + string.digits + "+=#&")[label]
    tile = Image.new("L", (side, side))
    font = ImageFont.load_default(size=side * 0.7)
    ImageDraw.Draw(tile).text((side / 2, side / 2), text, fill=255, font=font, anchor="mm")
    shift = tuple(draws.uniform(-0.1, 0.1, 2) * side)
    tile = tile.rotate(draws.uniform(-15, 15), Image.Resampling.BILINEAR, translate=shift)
    image = _noise(side, draws)
    image.paste(tuple(draws.integers(120, 256, 3).tolist()), mask=tile)
    return image


def _hue(label: int, number: int, side: int, draws: Draws) -> Image.Image:
    """A plain color of one of twelve hues, with noise."""
    hue = np.full((side, side), (label + draws.uniform(0.2, 0.8)) * 255 / 12)
    others = (draws.normal(170, 40, (side, side)) for _ in range(2))
    parts = [part.clip(0, 255).astype(np.uint8) for part in (hue, *others)]
    return Image.fromarray(np.stack(parts, 2), "HSV").convert("RGB")


def _dots(label: int, number: int, side: int, draws: Draws) -> Image.Image:
    """One to five dots of the same size that do not touch."""
    image, radius, places = _noise(side, draws), side * 0.08, list[tuple[float, float]]()
    while len(places) < label + 1:
        x, y = draws.uniform(radius, side - radius, 2)
        if all(math.hypot(x - a, y - b) > 2.5 * radius for a, b in places):
            places.append((x, y))
    for x, y in places:
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255))
    return image


def _photo(label: int, number: int, side: int, draws: Draws) -> Image.Image:
    """A part of one of scikit-learn's two photos, from one of four quarters of it."""
    photo = Image.fromarray(load_sample_image(("china.jpg", "flower.jpg")[label % 2]))
    width, height = photo.width // 2, photo.height // 2
    column, row = (label // 2) % 2, (label // 4) % 2
    part = int(draws.integers(side, 2 * side))
    left = int(draws.integers(column * width, (column + 1) * width - part))
    top = int(draws.integers(row * height, (row + 1) * height - part))
    return photo.crop((left, top, left + part, top + part)).resize((side, side))


def _half(label: int, number: int, side: int, draws: Draws) -> Image.Image:
    """A part of one of the two photos, from anywhere."""
    return _photo(label + 2 * int(draws.integers(4)), number, side, draws)


def _digit(label: int, number: int, side: int, draws: Draws) -> Image.Image:
    """One of scikit-learn's handwritten digits, enlarged. Each of a class is another one, of at most 174."""
    found = _digits()
    shades = np.rint(found.images[found.target == label][number] * (255 / 16)).astype(np.uint8)
    return Image.fromarray(shades).resize((side, side), Image.Resampling.BICUBIC)


def _uneven(classes: int, most: int, factor: float) -> tuple[int, ...]:
    return tuple(max(4, round(most * factor**label)) for label in range(classes))


SETS: Mapping[str, SmallSet] = {
    "two digits": SmallSet(_digit, 32, (25,) * 2),
    "digits": SmallSet(_digit, 32, (30,) * 10),
    "digits, uneven": SmallSet(_digit, 32, _uneven(10, 170, 0.65)),
    "shapes": SmallSet(_shape, 64, (60,) * 4),
    "shapes, uneven": SmallSet(_shape, 48, _uneven(4, 250, 0.5)),
    "stripes": SmallSet(_grating, 96, (25,) * 8),
    "letters": SmallSet(_letter, 32, (25,) * 40),
    "letters, uneven": SmallSet(_letter, 32, _uneven(26, 80, 0.9)),
    "hues": SmallSet(_hue, 24, (20,) * 12),
    "dots": SmallSet(_dots, 64, (100,) * 5),
    "two photos": SmallSet(_half, 48, (50,) * 2),
    "parts of photos": SmallSet(_photo, 96, (60,) * 8),
}
"""The datasets by name."""


def described() -> Iterator[str]:
    """Yield a line about each dataset."""
    for name, made in SETS.items():
        yield f"{name}: {made.images} images of {len(made.counts)} classes, {made.side} pixels"
