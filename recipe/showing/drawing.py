"""Draw images in rows, with a heading for each section and text under each image."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import attrs
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recipe.base.printable import printable
from recipe.showing.tiles import Pixels, Tile

LEAST = 128
"""The least width of a tile, in pixels. Smaller images are enlarged by a whole factor."""
COLUMNS = 8
"""The number of tiles in a row, approximately if several are views of one image."""
MARGIN, GAP = 16, 10
"""The space around the sheet, and between tiles, in pixels."""
TEXT, HEADING = 13, 17
"""The sizes of letters, in pixels."""
LINE = 17
"""The height of a line of text, in pixels."""
LONGEST = 500
"""The number of letters after which a name is cut before it is measured."""
REPLACEMENT = "replacement"
"""The text under an image that is trained on in place of a skipped one."""
INK, FAINT, PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)


@attrs.frozen
class Section:
    """A part of a sheet: a heading, and tiles, of which those of an image are kept in one row."""

    heading: str
    tiles: Sequence[Tile]
    together: int = 1

    @property
    def side(self) -> tuple[int, int]:
        """The height and width of its largest image."""
        return max(tile.pixels.shape[0] for tile in self.tiles), max(tile.pixels.shape[1] for tile in self.tiles)

    @property
    def least(self) -> tuple[int, int]:
        """The height and width of its smallest image."""
        return min(tile.pixels.shape[0] for tile in self.tiles), min(tile.pixels.shape[1] for tile in self.tiles)

    @property
    def factor(self) -> int:
        """The factor by which its images are enlarged."""
        return -(-LEAST // self.side[1])

    @property
    def columns(self) -> int:
        """The number of tiles in a row, a multiple of those of an image."""
        return min(max(1, round(COLUMNS / self.together)) * self.together, len(self.tiles))


def draw(sections: Sequence[Section]) -> Image.Image:
    """Return a sheet with these sections, one below the other."""
    drawn = [_section(section) for section in sections]
    width = max((part.width for part in drawn), default=0) + 2 * MARGIN
    sheet = Image.new("RGB", (width, sum(part.height + MARGIN for part in drawn) + MARGIN), PAPER)
    top = MARGIN
    for part in drawn:
        sheet.paste(part, (MARGIN, top))
        top += part.height + MARGIN
    return sheet


def places_of(section: Section) -> list[tuple[int, int]]:
    """Return the left and upper edge of each tile in the picture of a section, in pixels."""
    (height, width), factor = section.side, section.factor
    across, down = width * factor + GAP, height * factor + _lines(section) * LINE + GAP + 4
    top = HEADING + GAP
    return [(at % section.columns * across, at // section.columns * down + top) for at in range(len(section.tiles))]


def _section(section: Section) -> Image.Image:
    (height, width), factor, places = section.side, section.factor, places_of(section)
    sizes = " to ".join(f"{wide} × {high}" for high, wide in dict.fromkeys((section.least, section.side)))
    heading = f"{section.heading} ({sizes} pixels{f', enlarged × {factor}' if factor > 1 else ''})"
    wide = max(places[section.columns - 1][0] + width * factor, round(_font(HEADING).getlength(heading)) + 1)
    picture = Image.new("RGB", (wide, places[-1][1] + height * factor + _lines(section) * LINE + 4), PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((0, 0), heading, INK, _font(HEADING))
    for tile, (left, top) in zip(section.tiles, places, strict=True):
        image = enlarged(tile.pixels, factor)
        picture.paste(image, (left + (width * factor - image.width) // 2, top + (height * factor - image.height) // 2))
        for number, (line, color) in enumerate(_caption(tile, width * factor)):
            pen.text((left, top + height * factor + 3 + number * LINE), line, color, _font(TEXT))
    return picture


def enlarged(pixels: Pixels, factor: int) -> Image.Image:
    """Return an image (H, W, 3), or a gray one (H, W, 1), with each of its pixels repeated in both directions."""
    shown = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.repeat(np.repeat(shown, factor, 0), factor, 1)).convert("RGB")


def _lines(section: Section) -> int:
    """Return the number of lines of text under the tiles of a section."""
    width = section.side[1] * section.factor
    return max(len(_caption(tile, width)) for tile in section.tiles)


def _caption(tile: Tile, width: int) -> list[tuple[str, tuple[int, int, int]]]:
    """Return the lines of text under a tile, with their colors."""
    name, share = tile.shares[0]
    if share == 1:
        lines = _wrapped(_drawable(name), width)
    else:
        lines = [_fitted(_drawable(name), f": {percent(share)}", width)]
        if rest := others(tile):
            lines.append(_fitted(*rest, width))
    told = [(line, INK) for line in lines]
    below = tile.view or (REPLACEMENT if tile.replaces is not None else "")
    return [*told, (_fitted(below, "", width), FAINT)] if below else told


def others(tile: Tile) -> tuple[str, str] | None:
    """Return the second line of a target, in two parts: the class with the second share, or all that have it."""
    if len(tile.shares) < 2:
        return None
    name, share = tile.shares[1]
    alike = int(np.isclose(tile.target, share, rtol=1e-4, atol=0).sum())
    if alike > 1 and not np.isclose(share, tile.shares[0][1], rtol=1e-4, atol=0):
        return "others", f": {percent(share)} each"
    return _drawable(name), f": {percent(share)}"


def percent(share: float) -> str:
    """Return a share as a percentage, to two digits if it is small.

    >>> percent(0.7), percent(1 / 90), percent(0.00045), percent(0.996)
    ('70%', '1.1%', '0.045%', '99.6%')
    """
    part = 100 * share
    return f"{part:.2g}%" if part < 10 else f"{part:.0f}%" if part <= 99 else f"{part:.3g}%"


def _wrapped(name: str, width: int) -> list[str]:
    """Return a name in at most two lines."""
    font = _font(TEXT)
    if font.getlength(name) <= width:
        return [name]
    kept = next((end for end in range(len(name) - 1, 0, -1) if font.getlength(name[:end]) <= width), 1)
    space = name.rfind(" ", 1, kept + 1)
    kept = space if space > kept // 2 else kept
    return [name[:kept].rstrip(), _fitted(name[kept:].lstrip(), "", width)]


def _fitted(name: str, end: str, width: int) -> str:
    """Return a name and what follows it on one line, without the middle of the name if it is too long."""
    font = _font(TEXT)
    if font.getlength(name + end) <= width:
        return name + end
    for kept in range(len(name) - 1, 0, -1):
        short = f"{name[: -(-kept // 2)]}…{name[len(name) - kept // 2 :]}{end}"
        if font.getlength(short) <= width:
            return short
    return f"…{end}"


@cache
def _drawable(name: str) -> str:
    """Return text that the font can show: letters that it lacks become escapes."""
    shown = printable(unicodedata.normalize("NFC", name[:LONGEST]))
    return "".join(letter if _has(letter) else letter.encode("unicode_escape").decode() for letter in shown)


@cache
def _has(letter: str) -> bool:
    return letter.isascii() or _drawn(letter) != _drawn("\uffff")


def _drawn(letter: str) -> tuple[tuple[int, int], bytes]:
    mask = _font(TEXT).getmask(letter)
    return mask.size, bytes(mask)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of the sheet. Matplotlib's has more letters than Pillow's, whose only ones are those of ASCII."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
