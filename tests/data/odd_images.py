"""Decode odd image files: every format, mode and depth, whole and damaged.

    python -m tests.data.odd_images [SEED [MORE]]

A whole file must give the pixels that its format means, or be refused. A damaged one must be refused, or give the right
pixels where the damage doesn't matter. Nothing may be printed, no program may be started, and nothing but E070 may be
raised. MORE multiplies the number of random changes to each file. The exit code is 1 if anything was wrong.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import IO, Any

import attrs
import numpy as np
import numpy.typing as npt
from PIL import Image

from recipe.base.errors import RecipeError
from recipe.data.appearance import AS_STORED, VIEWED, Appearance
from recipe.data.decode import decode, formats
from tests.data.writers import Values, bmp, netpbm, pfm, png, tiff

Pixels = npt.NDArray[np.uint8]

SIDE, WIDTH = 24, 31
"""The height of the images, and their width. The left square of each is decoded."""


@attrs.frozen(eq=False)
class Odd:
    """An image file, the pixels (SIDE, SIDE, 3) that it means, and how far decoded ones may be from them.

    ``right`` is None if the file must be refused. ``ignored`` are the pixels without transparency, if they are others.
    """

    name: str
    data: bytes
    right: Pixels | None
    near: float = 1.0
    ignored: Pixels | None = None


def draw(draws: np.random.Generator, bits: int, channels: int) -> Values:
    """Return random values (SIDE, WIDTH, channels) of some bits, as the smallest unsigned integers."""
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return draws.integers(0, 2**bits, (SIDE, WIDTH, channels), dtype=np.uint64).astype(kind)


def shown(values: Values, most: int) -> Pixels:
    """Return values from 0 to ``most`` (H, W, 1 or 3) as 8-bit RGB of the left square."""
    scaled = np.floor(values.astype(np.float64) * (255 / most) + 0.5).astype(np.uint8)
    return np.broadcast_to(scaled, (*scaled.shape[:2], 3))[:, :SIDE]


def seen(colors: Pixels, opacity: npt.NDArray[Any], most: int) -> Pixels:
    """Return colors (SIDE, SIDE, 3) on white. Opacities (H, W, 1) are from 0 to ``most``."""
    part = opacity[:, :SIDE].astype(np.float64) / most
    return np.floor(colors * part + 255 * (1 - part) + 0.5).astype(np.uint8)


def inked(values: Values, most: int) -> Pixels:
    """Return amounts of cyan, magenta, yellow and black ink (H, W, 4) as 8-bit RGB."""
    light = 1 - values.astype(np.float64) / most
    return shown(light[:, :, :3] * light[:, :, 3:], 1)


def of_png(draws: np.random.Generator) -> Iterator[Odd]:
    for bits in (1, 2, 4, 8, 16):
        most = 2**bits - 1
        gray = draw(draws, bits, 1)
        yield Odd(f"png-gray{bits}", png(gray, 0, bits), shown(gray, most))
        hidden, plain = int(gray[1, 2, 0]), shown(gray, most)
        key = (b"tRNS", hidden.to_bytes(2, "big"))
        yield Odd(f"png-gray{bits}-trns", png(gray, 0, bits, [key]), seen(plain, gray != hidden, 1), 1, plain)
        if bits >= 8:
            for kind, channels in ((2, 3), (4, 2), (6, 4)):
                values = draw(draws, bits, channels)
                plain = shown(values[:, :, : channels - (kind > 2)], most)
                right = seen(plain, values[:, :, -1:], most) if kind > 2 else plain
                yield Odd(f"png-kind{kind}-{bits}", png(values, kind, bits), right, 2 if bits > 8 else 1, plain)
                if kind == 2:
                    key = (b"tRNS", values[3, 4].astype(">u2").tobytes())
                    opacity = (values != values[3, 4]).any(2, keepdims=True)
                    colors = seen(plain, opacity, 1) if bits == 8 else None
                    yield Odd(f"png-rgb{bits}-trns", png(values, 2, bits, [key]), colors, 1, plain)
        if bits <= 8:
            palette = draws.integers(0, 256, (2**bits, 3), dtype=np.uint8)
            plte, right = (b"PLTE", palette.tobytes()), shown(palette[gray[:, :, 0].astype(int)], 255)
            yield Odd(f"png-palette{bits}", png(gray, 3, bits, [plte]), right)
            opacity = draws.integers(0, 256, 2**bits, dtype=np.uint8)
            trns, mixed = (b"tRNS", opacity.tobytes()), seen(right, opacity[gray.astype(int)], 255)
            yield Odd(f"png-palette{bits}-trns", png(gray, 3, bits, [plte, trns]), mixed, 1, right)
    yield Odd("png-gray16-of-8", png(gray % 256, 0, 16), None)
    yield Odd("png-rgb16-of-8", png(values[:, :, :3] % 256, 2, 16), None)
    yield Odd("png-gray16-black", png(gray * 0, 0, 16), shown(gray * 0, 1))


def of_tiff(draws: np.random.Generator) -> Iterator[Odd]:
    layouts = ((False, 0, 0), (False, 16, 0), (False, 0, 5), (True, 0, 0), (True, 0, 5), (True, 16, 0))
    for order, deflate, (planar, tile, rows) in product("<>", (False, True), layouts):
        yield from of_layout(draws, order=order, deflate=deflate, planar=planar, tile=tile, rows=rows)
    gray = draw(draws, 8, 1)
    yield Odd("tiff-strips-missing", tiff(gray, 1, rows=4, tags={273: (4, [8]), 279: (4, [4 * WIDTH])}), None)
    yield Odd("tiff-rational-strips", tiff(gray, 1, tags={273: (5, [8])}), None)
    yield Odd("tiff-no-size", tiff(gray, 1, tags={256: None}), None)
    yield Odd("tiff-unknown-compression", tiff(gray, 1, tags={259: (3, [777])}), None)


def of_layout(draws: np.random.Generator, **layout: Any) -> Iterator[Odd]:
    """TIFF files with one layout of strips or tiles."""
    planar, big = layout["planar"], layout["order"] == ">"
    label = f"{'-big' * big}{'-zip' * layout['deflate']}{'-planar' * planar}-{layout['tile']}-{layout['rows']}"

    def odd(
        name: str, right: Pixels | None, values: Values, *arguments: int, ignored: Pixels | None = None, **more: Any
    ) -> Odd:
        near = 2.0 if name in ("cmyk16", "rgb16-extra2") else 1.0  # rounded twice
        file = tiff(values, *arguments, **layout, **more)
        if planar and name != "rgb8":
            right = ignored = None
        return Odd(f"tiff-{name}{label}", file, right, near, ignored)

    for bits in (1, 2, 4, 8, 12, 16):
        most, gray = 2**bits - 1, draw(draws, bits, 1)
        unread = big and bits == 12
        yield odd(f"gray{bits}", None if unread else shown(gray, most), gray, 1, bits)
        yield odd(f"white-is-zero{bits}", shown(most - gray, most) if bits <= 8 else None, gray, 0, bits)
        if bits <= 8:
            palette = draws.integers(0, 256, (2**bits, 3), dtype=np.uint8)
            colors = shown(palette[gray[:, :, 0].astype(int)], 255)
            for scale in (257, 1):
                table = {320: (3, (palette.T.reshape(-1).astype(int) * scale).tolist())}
                yield odd(f"palette{bits}-{scale}", colors if scale > 1 else None, gray, 3, bits, tags=table)
            reversed_bits = shown(gray, most)
            yield odd(f"reversed{bits}", reversed_bits, gray, 1, bits, reversed_bits=True)
    for bits in (8, 16):
        most = 2**bits - 1
        rgb, four, two = draw(draws, bits, 3), draw(draws, bits, 4), draw(draws, bits, 2)
        yield odd(f"rgb{bits}", shown(rgb, most), rgb, 2, bits)
        plain = shown(four[:, :, :3], most)
        yield odd(f"rgb{bits}-extra0", plain, four, 2, bits, extra=[0])
        yield odd(f"rgb{bits}-extra2", seen(plain, four[:, :, 3:], most), four, 2, bits, extra=[2], ignored=plain)
        four[:, :, 3] = most
        yield odd(f"rgb{bits}-multiplied", shown(four[:, :, :3], most), four, 2, bits, extra=[1])
        four = draw(draws, bits, 4)
        yield odd(f"cmyk{bits}", inked(four, most), four, 5, bits)
        if bits == 8:
            plain = shown(two[:, :, :1], most)
            yield odd("gray8-alpha", seen(plain, two[:, :, 1:], most), two, 1, 8, extra=[2], ignored=plain)
        signed = draw(draws, bits, 1)
        yield odd(f"signed{bits}", None, signed, 1, bits, sample_format=2)
    yield odd("ycbcr", None, draw(draws, 8, 3), 6, tags={530: (3, [1, 1])})
    for bits, sample_format in ((32, 1), (32, 2), (32, 3), (64, 3)):
        values = draws.random((SIDE, WIDTH, 1)) * (1 if sample_format == 3 else 255)
        kind = {1: np.uint32, 2: np.int32, 3: np.float32 if bits == 32 else np.float64}[sample_format]
        yield odd(f"number{bits}-{sample_format}", None, values.astype(kind), 1, bits, sample_format=sample_format)


def of_simple(draws: np.random.Generator) -> Iterator[Odd]:
    """Netpbm and BMP."""
    for plain in (False, True):
        bits = draw(draws, 1, 1)
        yield Odd(f"pbm-{plain}", netpbm(bits, 1, plain), shown(1 - bits, 1))
        for most, channels in product((7, 100, 255, 300, 65535), (1, 3)):
            values = draws.integers(0, most + 1, (SIDE, WIDTH, channels)).astype(np.uint16 if most > 255 else np.uint8)
            yield Odd(f"pnm{channels}-{most}-{plain}", netpbm(values, most, plain), shown(values, most))
            if most == 65535:
                yield Odd(f"pnm{channels}-16-of-8-{plain}", netpbm(values % 256, most, plain), None)
    for scale in (-1.0, 1.0):
        yield Odd(f"pfm-{scale}", pfm(draws.random((SIDE, WIDTH)), scale), None)
    for bits in (1, 4, 8):
        gray, palette = draw(draws, bits, 1), draws.integers(0, 256, (2**bits, 4), dtype=np.uint8)
        colors = palette[gray[:, :, 0].astype(int)][:, :, 2::-1]
        yield Odd(f"bmp-{bits}", bmp(gray, bits, palette.tobytes()), shown(colors, 255))
    for channels in (3, 4):
        values = draw(draws, 8, channels)
        yield Odd(f"bmp-{8 * channels}", bmp(values, 8 * channels), shown(values[:, :, 2::-1], 255))


def of_pillow(draws: np.random.Generator) -> Iterator[Odd]:
    """Formats whose encoders are too long to write here, of smooth pixels that survive lossy compression."""
    ramp = np.stack(np.meshgrid(np.linspace(20, 230, WIDTH), np.linspace(40, 200, SIDE)), -1)
    rgb = np.concatenate([ramp, np.full((SIDE, WIDTH, 1), 90.0)], -1).round().astype(np.uint8)
    exact = draw(draws, 8, 3)

    def saved(pixels: Values, kind: str, mode: str = "RGB", **options: object) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, kind, **options)
        return file.getvalue()

    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        name = "-".join(["jpeg", *options])
        yield Odd(name, saved(rgb, "JPEG", quality=95, subsampling="4:4:4", **options), shown(rgb, 255), 6)
        gray = rgb[:, :, :1]
        yield Odd(f"{name}-gray", saved(gray[:, :, 0], "JPEG", "L", quality=95, **options), shown(gray, 255), 6)
        yield Odd(f"{name}-cmyk", saved(rgb, "JPEG", "CMYK", quality=95, **options), shown(rgb, 255), 8)
    yield Odd("webp", saved(exact, "WEBP", lossless=True), shown(exact, 255))
    alpha = np.concatenate([exact, np.full((SIDE, WIDTH, 1), 9, np.uint8)], -1)
    right = seen(shown(exact, 255), alpha[:, :, 3:], 255)
    yield Odd("webp-alpha", saved(alpha, "WEBP", "RGBA", lossless=True, exact=True), right, 1, shown(exact, 255))
    gray = np.repeat(rgb[:, :, :1], 3, 2)
    yield Odd("gif", saved(gray[:, :, 0], "GIF", "L"), shown(gray, 255))
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "group4"):
        mode = "1" if compression == "group4" else "RGB"
        pixels = (exact[:, :, :1] > 127).repeat(3, 2).astype(np.uint8) * 255 if mode == "1" else exact
        yield Odd(f"tiff-{compression}", saved(pixels, "TIFF", mode, compression=compression), shown(pixels, 255))
    if "AVIF" in formats():
        yield Odd("avif", saved(rgb, "AVIF", quality=95, subsampling="4:4:4"), shown(rgb, 255), 8)
    for name, start in {
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "empty": b"",
    }.items():
        yield Odd(name, start, None)
    yield Odd("tga", saved(exact, "TGA"), None)
    yield Odd("png-huge", png(gray, 2, size=(60_000, 60_000)), None)
    yield Odd("png-huge-in-a-row", png(gray, 2, size=(2**31 - 1, 1)), None)


def whole(seed: int) -> list[Odd]:
    """Return undamaged files of all kinds, from random pixels."""
    draws = np.random.default_rng(seed)
    return [odd for kind in (of_png, of_tiff, of_simple, of_pillow) for odd in kind(draws)]


def damaged(odd: Odd, draws: np.random.Generator, more: int) -> Iterator[Odd]:
    """Yield truncations of a file, which must not give wrong pixels, and files with random changes, which may."""
    size = len(odd.data)
    for left in sorted({0, 1, 7, 12, 40, *(size * part // 8 for part in range(1, 8)), size - 9, size - 1}):
        if 0 <= left < size:
            yield attrs.evolve(odd, name=f"{odd.name}-cut{left}", data=odd.data[:left])
    for number in range(6 * more if size else 0):
        data = bytearray(odd.data)
        start = int(draws.integers(0, min(size, 300 if number % 2 else size)))
        length = int(draws.choice([1, 1, 2, 4, 40]))
        data[start : start + length] = draws.choice([bytes(length), b"\xff" * length, draws.bytes(length)])[:length]
        yield attrs.evolve(odd, name=f"{odd.name}-changed{start}+{length}", data=bytes(data), near=256.0)


_programs: list[str] = []
_watched = False


@contextmanager
def started() -> Iterator[list[str]]:
    """A context that yields a list of the programs that this process starts in it."""
    global _watched
    if not _watched:
        _watched = True
        events = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
        sys.addaudithook(lambda event, arguments: _programs.append(f"{event} {arguments}") if event in events else None)
    _programs.clear()
    yield _programs


@contextmanager
def printed(file: IO[bytes]) -> Iterator[Callable[[], bytes]]:
    """A context in which whatever reaches file descriptors 1 and 2 goes to a file.

    Yields a function that returns it afterwards.
    """

    def said() -> bytes:
        file.seek(0)
        return file.read()

    file.seek(0)
    file.truncate()
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        yield said
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def faults(odds: list[Odd], folder: Path, strict: bool = True) -> list[str]:
    """Decode files and return what was wrong. If ``strict``, those with right pixels must not be refused."""
    wrong = []
    path = folder / "odd.jpg"  # the name doesn't matter
    with tempfile.TemporaryFile() as output:
        for odd in odds:
            path.write_bytes(odd.data)
            with printed(output) as said, started() as programs:
                faulty = (_fault(odd, path, strict, appearance) for appearance in (VIEWED, AS_STORED))
                fault = next(filter(None, faulty), None)
            wrong += [f"{odd.name}: {fault}"] if fault else []
            wrong += [f"{odd.name}: printed {text[:200]!r}"] if (text := said()) else []
            wrong += [f"{odd.name}: started {programs}"] if programs else []
    return wrong


def _box(height: int, width: int) -> tuple[int, int, int, int]:
    return (0, 0, SIDE, SIDE) if width >= SIDE <= height else (0, 0, 1, 1)


def _fault(odd: Odd, path: Path, strict: bool, appearance: Appearance) -> str | None:
    right = odd.right if odd.ignored is None or appearance == VIEWED else odd.ignored
    try:
        pixels = decode(path, SIDE, _box, appearance=appearance)
    except RecipeError as error:
        (found,) = error.diagnostics
        if found.code != "E070" or f"`{path}`" not in found.message:
            return f"the file is not named: {found.code} {found.message}"
        return f"refused: {found.message}" if strict and right is not None else None
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    if odd.near > 255:  # changed at random
        return None
    if right is None:
        return "accepted"
    far = float(np.abs(pixels.astype(float) - right).max())
    return f"pixels differ by {far}" if far > odd.near else None


def main(seed: int = 0, more: int = 1) -> int:
    draws, odds = np.random.default_rng(seed), whole(seed)
    with tempfile.TemporaryDirectory() as folder:
        wrong = faults(odds, Path(folder))
        count = len(odds)
        for odd in odds:
            broken = list(damaged(odd, draws, more))
            wrong += faults(broken, Path(folder), strict=False)
            count += len(broken)
    print("\n".join([*wrong, f"{count} files, {len(wrong)} faults"]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
