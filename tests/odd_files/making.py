"""Make odd files in a folder of images: of every format, mode and depth, damaged, and what isn't an image."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from PIL import Image

from recipe.data.formats import FORMATS
from tests.data import odd_images
from tests.data.odd_images import SIDE, WIDTH
from tests.data.writers import chunk, packed, png

Pixels = npt.NDArray[np.uint8]
Draws = np.random.Generator

RIGHT, NAMED, EITHER, IGNORED = "right", "named", "either", "ignored"
"""What must become of a file: it has the right pixels, is named as unreadable, either, or is ignored with a note."""

MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV")
SEEN = ("LA", "La", "PA", "RGBA", "RGBa")
"""The modes with an opacity."""

DEEP = ("I;16", "I", "F")
"""The modes of more than 8 bits."""

STORE = ".store"
"""The hidden folder with the targets of links."""

LOSSY = ("JPEG", "MPO", "AVIF")
ORIENTED = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO")
FRAMED = ("GIF", "WEBP", "TIFF", "AVIF", "PNG", "MPO")
WRITABLE = [*FORMATS, "MPO"]


@attrs.frozen(eq=False)
class Made:
    """A file, or something else with a name, and what must become of it."""

    kind: str
    """The row of the table that it counts in."""
    name: str
    """Its path in the folder of a class. The ending tells the format, unless that is what is odd."""
    content: bytes | None
    """Its content, or None if ``place`` makes something else."""
    expected: str = RIGHT
    truth: Pixels | None = None
    """The pixels (H, W, 3) that it means, upright and on white, if they are known without reading it."""
    near: float = 1.0
    """How far pixels may be off."""
    orientation: int = 1
    """Its EXIF orientation."""
    place: Callable[[Path], object] | None = None
    """Makes what isn't a file at a path."""
    comparable: bool = True
    """Whether OpenCV must get the same pixels from it."""


def smooth(draws: Draws, height: int = SIDE, width: int = WIDTH) -> Pixels:
    """Return pixels that survive lossy compression."""
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    low, high = draws.integers(20, 100, 3), draws.integers(120, 230, 3)
    ramps = np.stack([x, y, (x + y) / 2], -1)[:, :, draws.permutation(3)]
    return (low + (high - low) * ramps).round().astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the content of a file that Pillow writes. Lossy formats keep as much as they can."""
    best: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": "4:4:4"},
        "MPO": {"quality": 95, "subsampling": "4:4:4"},
        "WEBP": {"lossless": True, "exact": True},
        "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    }
    if image.mode == "CMYK":
        best["JPEG"] = {"quality": 95}
    file = io.BytesIO()
    image.save(file, kind, **(best.get(kind, {}) | options))
    return file.getvalue()


def ending(kind: str) -> str:
    return FORMATS.get(kind, FORMATS["JPEG"])[0]


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


def upright(stored: Pixels, orientation: int) -> Pixels:
    """Turn pixels by an EXIF orientation."""
    swapped = stored.swapaxes(0, 1) if orientation > 4 else stored
    mirrored = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return swapped[:: mirrored[0], :: mirrored[1]]


def of_modes(draws: Draws) -> Iterator[Made]:
    """Files of every mode that Pillow can write, in every format."""
    for kind in WRITABLE:
        for mode in (*MODES, *DEEP):
            pixels = smooth(draws, *draws.integers(9, 40, 2).tolist())
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    image, truth = in_mode(draws, pixels, mode)
                    content = saved(image, kind)
            except (OSError, ValueError, KeyError, SystemError, AttributeError):
                continue  # this format doesn't have it
            if mode in DEEP and kind not in ("PNG", "PPM", "TIFF"):
                continue  # Pillow makes other values of them
            unbounded = mode == "F" or (mode == "I" and kind == "TIFF")
            expected = NAMED if unbounded or (mode == "YCbCr" and kind == "TIFF") else RIGHT
            near = 24.0 if mode == "LAB" else 8.0 if kind in LOSSY or mode in ("CMYK", "YCbCr") else 2.0
            changed = (mode in ("P", "PA", "1") and kind != "PNG") or (mode in SEEN and kind in ("PPM", "BMP"))
            known = None if changed or (kind == "GIF" and mode not in ("L", "1")) else truth
            elsewhere = kind != "TIFF" or mode not in (*SEEN, "LAB")  # of which OpenCV makes other colors
            name = f"{kind}-{mode}{ending(kind)}"
            yield Made("modes", name, content, expected, known, near, comparable=elsewhere)


def in_mode(draws: Draws, pixels: Pixels, mode: str) -> tuple[Image.Image, Pixels | None]:
    """Return an image in a mode, and its pixels on white, if a format keeps the mode."""
    rgb, opacity = Image.fromarray(pixels), draws.integers(0, 256, pixels.shape[:2], dtype=np.uint8)
    if mode in SEEN:
        colors = rgb.convert("L") if mode in ("LA", "La") else rgb.quantize(16) if mode == "PA" else rgb
        plain, part = np.asarray(colors.convert("RGB")).astype(float), opacity[:, :, None] / 255
        image = colors.convert("PA") if mode == "PA" else colors
        image.putalpha(Image.fromarray(opacity))
        return image.convert(mode), (plain * part + 255 * (1 - part)).round().astype(np.uint8)
    if mode in ("I;16", "I", "F"):
        values = draws.integers(0, 65536, pixels.shape[:2])
        image = Image.fromarray(values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
        return image, np.repeat((values / 257)[:, :, None], 3, 2).round().astype(np.uint8)
    if mode == "P":
        image = rgb.quantize(64)
        return image, np.asarray(image.convert("RGB"))
    image = rgb.convert(mode)
    return image, np.asarray(rgb.convert("L").convert("RGB")) if mode == "L" else None if mode in (
        "1",
        "HSV",
    ) else pixels


def of_writers(draws: Draws) -> Iterator[Made]:
    """Files that the writers of the tests make, of all depths, tiles, strips, palettes and transparent colors."""
    names = {"png": ".png", "tiff": ".tif", "bmp": ".bmp", "gif": ".gif", "webp": ".webp", "avif": ".avif"}
    for odd in odd_images.whole(int(draws.integers(1 << 30))):
        end = names.get(odd.name.partition("-")[0], ".jpg" if odd.name.startswith("jpeg") else ".pnm")
        huge = "huge" in odd.name
        yield Made(
            "bombs" if huge else "depths and layouts",
            f"{odd.name}{end}",
            odd.data,
            NAMED if odd.right is None else RIGHT,
            odd.right,
            odd.near,
            comparable=False,
        )


def of_orientations(draws: Draws) -> Iterator[Made]:
    for kind in ORIENTED:
        for orientation in range(10):
            pixels = smooth(draws, *draws.integers(20, 300, 2).tolist())
            content = saved(Image.fromarray(pixels), kind, exif=oriented(orientation))
            known = orientation if 1 <= orientation <= 8 else 1
            truth, near = upright(pixels, known), 8.0 if kind in LOSSY else 1.0
            name = f"{kind}-{orientation}{ending(kind)}"
            yield Made("orientations", name, content, RIGHT, truth, near, 1 if kind == "TIFF" else known)


def of_layouts(draws: Draws) -> Iterator[Made]:
    """Interlaced, progressive, subsampled and compressed files, and those of several frames."""
    pixels = smooth(draws, *draws.integers(9, 60, 2).tolist())
    image = Image.fromarray(pixels)
    for bits, channels in ((1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 2), (8, 3), (16, 3), (8, 4), (16, 4)):
        values = draws.integers(0, 2**bits, (*pixels.shape[:2], channels)).astype(np.uint16 if bits > 8 else np.uint8)
        name = f"interlaced-{bits}-{channels}.png"
        plain = odd_images.png(values, {1: 0, 2: 4, 3: 2, 4: 6}[channels], bits)
        yield Made("layouts", name, interlaced(plain, values, bits), RIGHT, shown(values, bits), 2.0)
    for name, options in {
        "progressive": {"progressive": True},
        "optimized": {"optimize": True},
        "sampled-2": {"subsampling": "4:2:2"},
        "sampled-4": {"subsampling": "4:2:0"},
        "restarts": {"restart_marker_rows": 1},
        "in-rgb": {"keep_rgb": True},
    }.items():
        yield Made("layouts", f"{name}.jpg", saved(image, "JPEG", **options), RIGHT, pixels, 10.0)
    for compression in ("raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "zstd", "lzma"):
        try:
            content = saved(image, "TIFF", compression=compression)
        except (OSError, KeyError, ValueError):
            continue
        yield Made("layouts", f"{compression}.tif", content, RIGHT, pixels)
    yield Made("layouts", "lossy.webp", saved(image, "WEBP", lossless=False, quality=95), RIGHT, pixels, 12.0)
    yield Made("layouts", "fitting.gif", saved(image.quantize(200), "GIF", interlace=1))
    others = [Image.fromarray(255 - pixels), Image.fromarray(pixels[::-1].copy())]
    for kind in FRAMED:
        content = saved(image.quantize(200) if kind == "GIF" else image, kind, save_all=True, append_images=others)
        truth = None if kind == "GIF" else pixels
        yield Made("several frames", f"{kind}{ending(kind)}", content, RIGHT, truth, 8.0)


def shown(values: npt.NDArray[Any], bits: int) -> Pixels:
    """Return gray, gray with opacity, RGB or RGBA values (H, W, 1 to 4) as RGB on white."""
    unit = values.astype(float) / (2**bits - 1)
    colors, part = (unit[:, :, :-1], unit[:, :, -1:]) if values.shape[2] in (2, 4) else (unit, 1.0)
    mixed = 255 * (colors * part + 1 - part)
    return np.broadcast_to(mixed.round(), (*values.shape[:2], 3)).astype(np.uint8)


def interlaced(plain: bytes, values: npt.NDArray[Any], bits: int) -> bytes:
    """Return a PNG file with its pixels in the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    lines = b""
    for top, left, down, right in passes:
        part = values[top::down, left::right]
        rows = packed(part, bits) if part.size else b""
        length = len(rows) // part.shape[0] if part.size else 0
        lines += b"".join(b"\0" + rows[at : at + length] for at in range(0, len(rows), length or 1))
    header = plain[16 : 16 + 12] + b"\1"
    return plain[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def of_damage(draws: Draws) -> Iterator[Made]:
    """Files of all formats that are cut off, with flipped bits, or with zeros."""
    for kind in WRITABLE:
        pixels = smooth(draws, *draws.integers(9, 60, 2).tolist())
        orientation = int(draws.integers(1, 9)) if kind in ORIENTED and draws.random() < 0.3 else 1
        image = Image.fromarray(pixels)
        image = image.quantize(200) if kind == "GIF" else image
        exif = {"exif": oriented(orientation)} if orientation > 1 else {}
        content = saved(image, kind, **exif)
        truth = None if kind == "GIF" else upright(pixels, orientation)
        near, end, size = 8.0 if kind in LOSSY else 1.0, ending(kind), len(content)
        turned = 1 if kind == "TIFF" else orientation  # OpenCV turns it, too
        for _ in range(3):
            cut = content[: int(draws.integers(1, size))]
            yield Made("cut off", f"{kind}-{len(cut)}{end}", cut, EITHER, truth, near, comparable=False)
        for part in ("head", "head", "anywhere", "anywhere"):
            flipped = bytearray(content)
            for at in draws.integers(0, min(200, size) if part == "head" else size, int(draws.integers(1, 9))):
                flipped[at] ^= 1 << int(draws.integers(8))
            yield Made("flipped bits", f"{kind}-{part}{end}", bytes(flipped), EITHER, truth, near, turned)
        start, length = int(draws.integers(size)), int(draws.integers(1, 300))
        zeros = content[:start] + bytes(length) + content[start + length :]
        yield Made("zeros", f"{kind}{end}", zeros[:size], EITHER, truth, near, turned)
        yield Made("zeros", f"{kind}-only{end}", bytes(int(draws.integers(0, 3)) * size), NAMED)
        yield Made("more behind", f"{kind}{end}", content + draws.bytes(99), EITHER, truth, near, turned)


def of_endings(draws: Draws) -> Iterator[Made]:
    """Files whose content is of another format than their ending, or of none."""
    for kind in WRITABLE:
        other = str(draws.choice([name for name in FORMATS if name != kind]))
        pixels = smooth(draws)
        content = saved(Image.fromarray(pixels).convert("L"), kind)
        truth = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))
        end = ending(other).upper() if draws.random() < 0.3 else ending(other)
        yield Made("wrong endings", f"{kind}-as-{other}{end}", content, RIGHT, truth, 8.0)
    image = Image.fromarray(smooth(draws))
    contents = {kind: saved(image, kind) for kind in ("TGA", "PCX", "SGI", "ICO", "PDF")}
    contents |= {
        "text": b"not an image\n",
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>',
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + draws.bytes(200),
        "zip": b"PK\3\4" + draws.bytes(100),
        "noise": draws.bytes(500),
        "only-magic": bytes(draws.choice([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF", b"II*\0", b"P6"])),
        "empty": b"",
    }
    for name, content in contents.items():
        yield Made("no images", f"{name}{ending(str(draws.choice([*FORMATS])))}", content, NAMED)
    for name in ("notes.txt", "Thumbs.db", "labels.csv", "a.jpg.part", "a.heic", "png", "jpg."):
        yield Made("other endings", name, b"x", IGNORED)


def of_names(draws: Draws) -> Iterator[Made]:
    pixels = smooth(draws)
    content = png(pixels, 2)
    umlaut = "Zoë Ångström 한국"
    for name in (
        unicodedata.normalize("NFC", umlaut),
        unicodedata.normalize("NFD", umlaut),
        " spaces at both ends ",
        "two\nlines",
        "tab\tand\x1b[31mcolor",
        "emoji 🦉🏽",
        "quotes '\"`",
        "100%{}*[a]?",
        "-dash",
        "\\back\\slash",
        "a.b..c",
        "x" * 240,
        "\udcff\udcfe bytes",
        "‮right to left",
    ):
        yield Made("names", f"{name}{draws.choice(['.png', '.PNG', '.Png'])}", content, RIGHT, pixels)
    for name in ("._a.jpg", ".hidden.png", ".DS_Store", "__MACOSX/a.jpg", "__MACOSX/._a.jpg", ".git/a.png"):
        yield Made("hidden", name, content, IGNORED)
    yield Made("in folders", "sub/deep/a.png", content, RIGHT, pixels)


def of_others(draws: Draws) -> Iterator[Made]:
    """Folders, links and pipes that are named like images."""
    pixels = smooth(draws)
    content = png(pixels, 2)

    def link_to(target: Callable[[Path], Path], path: Path) -> None:
        path.symlink_to(target(path))

    def linked(name: str, target: Callable[[Path], Path], expected: str) -> Made:
        truth = pixels if expected == RIGHT else None
        return Made("links", name, None, expected, truth, place=lambda path: link_to(target, path))

    def beside(path: Path) -> Path:
        real = path.parent / STORE / f"{path.name}.data"
        real.parent.mkdir(exist_ok=True)
        real.write_bytes(content)
        return Path(STORE) / real.name

    def outside(path: Path) -> Path:
        folder = path.parents[2] / "elsewhere"
        folder.mkdir(exist_ok=True)
        real = folder / f"{path.parent.name} {path.name}.png"
        real.write_bytes(content)
        return real

    yield linked("outside.png", outside, RIGHT)
    yield linked("beside.png", beside, RIGHT)
    yield linked("broken.png", lambda path: path.parent / "gone", IGNORED)
    yield linked("itself.png", lambda path: Path(path.name), IGNORED)
    yield linked("folder.png", lambda path: path.parent, IGNORED)
    yield linked("device.png", lambda path: Path("/dev/zero"), IGNORED)
    yield Made("folders", "empty.jpg", None, IGNORED, place=Path.mkdir)
    yield Made("pipes", "pipe.png", None, IGNORED, place=os.mkfifo)


def of_bombs(draws: Draws) -> Iterator[Made]:
    """Small files that claim to have very many pixels."""
    side = int(draws.integers(20_000, 60_000))
    big = struct.pack("<II", side, side)
    bmp = (
        b"BM"
        + struct.pack("<IHHI", 99, 0, 0, 54)
        + struct.pack("<I", 40)
        + big
        + struct.pack("<HHIIIIII", 1, 24, *[0] * 6)
    )
    yield Made("bombs", "huge.bmp", bmp, NAMED)
    yield Made("bombs", "huge.ppm", f"P6\n{side} {side}\n255\n".encode() + bytes(99), NAMED)
    yield Made("bombs", "huge.png", png(np.zeros((9, 9, 1), np.uint8), 0, size=(side, side)), NAMED)
    yield Made("bombs", "huge.gif", b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6), NAMED)
    jpeg = bytearray(saved(Image.fromarray(smooth(draws)), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", side, side)
    yield Made("bombs", "huge.jpg", bytes(jpeg), NAMED)
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: side, 279: side * side}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value % 2**32) for tag, value in tags.items())
    yield Made("bombs", "huge.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4), NAMED)


SOURCES = (of_modes, of_orientations, of_layouts, of_damage, of_endings, of_names, of_others, of_bombs, of_writers)


def made(count: int, seed: int) -> list[Made]:
    """Return odd files, each with a name of its own: a sample of all kinds, or several of each kind."""
    draws = np.random.default_rng(seed)
    every = [one for source in SOURCES for one in source(draws)]
    if count < len(every):
        every = [every[at] for at in sorted(draws.choice(len(every), count, replace=False))]
    while len(every) < count:  # the files of the writers only have other pixels each time
        every += [one for source in SOURCES[:-1] for one in source(draws)]
    return [attrs.evolve(one, name=_numbered(one, number)) for number, one in enumerate(every[:count])]


def _numbered(one: Made, number: int) -> str:
    """Return a name that no other file has, with what is odd about it."""
    folder, name = os.path.split(one.name)
    if one.kind == "hidden" or one.kind == "other endings":
        return os.path.join(f"{number} files", one.name)
    stem, end = os.path.splitext(name)
    return os.path.join(folder, f"{stem[:230]} {number}{end}" if one.kind == "names" else f"{number} {name}")
