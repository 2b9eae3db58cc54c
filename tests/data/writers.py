"""Write image files byte by byte, by their specifications and without Pillow: PNG, TIFF, Netpbm and BMP."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.generic]

TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 12: 8}
"""The size in bytes of TIFF's types of values: byte, text, short, long, rational and double."""


def packed(rows: Values, bits: int, order: str = ">") -> bytes:
    """Pack values (H, W, C) of 1 to 64 bits into rows of whole bytes, the highest bits first."""
    height = len(rows)
    if bits % 8 == 0:
        return rows.astype(rows.dtype.newbyteorder(order)).tobytes()  # type: ignore[no-any-return]
    flat = rows.reshape(height, -1).astype(np.uint32)
    each = (flat[:, :, None] >> np.arange(bits - 1, -1, -1, dtype=np.uint32)) & 1
    return np.packbits(each.reshape(height, -1).astype(np.uint8), axis=1).tobytes()


def png(
    values: Values, kind: int, bits: int = 8, chunks: Sequence[tuple[bytes, bytes]] = (), size: tuple[int, int] = (0, 0)
) -> bytes:
    """Return a PNG file of values (H, W, C) of a color type, with chunks before the pixels.

    ``size`` replaces the width and height that the file claims.
    """
    height, width = values.shape[:2]
    rows = packed(values, bits)
    length = len(rows) // height
    lines = b"".join(b"\0" + rows[start : start + length] for start in range(0, len(rows), length))
    width, height = size if any(size) else (width, height)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def tiff(
    values: Values,
    photometric: int,
    bits: int = 8,
    *,
    order: str = "<",
    sample_format: int | None = None,
    extra: Sequence[int] = (),
    planar: bool = False,
    tile: int = 0,
    rows: int = 0,
    deflate: bool = False,
    reversed_bits: bool = False,
    tags: Mapping[int, tuple[int, Sequence[int | float]] | None] | None = None,
) -> bytes:
    """Return a TIFF file of values (H, W, C) in strips of ``rows`` rows or in tiles of ``tile`` pixels.

    ``tags`` adds or replaces tags by their type and values, or removes them.
    """
    height, width, channels = values.shape
    layers = [values[:, :, [channel]] for channel in range(channels)] if planar else [values]
    step_y, step_x = (tile, tile) if tile else (rows or height, width)
    parts = []
    for layer in layers:
        for top in range(0, height, step_y):
            for left in range(0, width, step_x):
                part = layer[top : top + step_y, left : left + step_x]
                if tile:
                    missing = (tile - part.shape[0], tile - part.shape[1])
                    part = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)))
                data = packed(part, bits, order)
                data = zlib.compress(data) if deflate else data
                if reversed_bits:
                    data = np.packbits(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")).tobytes()
                parts.append(data)
    offsets = [8 + sum(map(len, parts[:index])) for index in range(len(parts))]
    sizes = [len(part) for part in parts]
    entries: dict[int, tuple[int, Sequence[int | float]] | None] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [8 if deflate else 1]),
        262: (3, [photometric]), 277: (3, [channels]), 284: (3, [2 if planar else 1]),
    }  # fmt: skip
    if tile:
        entries |= {322: (4, [tile]), 323: (4, [tile]), 324: (4, offsets), 325: (4, sizes)}
    else:
        entries |= {273: (4, offsets), 278: (4, [step_y]), 279: (4, sizes)}
    if extra:
        entries[338] = (3, extra)
    if sample_format is not None:
        entries[339] = (3, [sample_format] * channels)
    if reversed_bits:
        entries[266] = (3, [2])
    entries |= tags or {}
    return _tiff_file(order, b"".join(parts), {tag: value for tag, value in entries.items() if value is not None})


def _tiff_file(order: str, pixels: bytes, entries: Mapping[int, tuple[int, Sequence[int | float]]]) -> bytes:
    pixels += b"\0" * (len(pixels) % 2)
    start = 8 + len(pixels)
    beyond = start + 2 + 12 * len(entries) + 4
    table, more = b"", b""
    for tag, (kind, numbers) in sorted(entries.items()):
        form = {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 12: "d"}[kind]
        flat = [part for number in numbers for part in ((int(number), 1) if kind == 5 else (number,))]
        data = struct.pack(f"{order}{len(flat)}{form[0]}", *flat)
        table += struct.pack(f"{order}HHI", tag, kind, len(numbers))
        if len(data) <= 4:
            table += data.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}I", beyond + len(more))
            more += data + b"\0" * (len(data) % 2)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    return head + pixels + struct.pack(f"{order}H", len(entries)) + table + struct.pack(f"{order}I", 0) + more


def netpbm(values: Values, most: int, plain: bool = False) -> bytes:
    """Return a PBM (``most`` is 1 and one channel), PGM or PPM file of values (H, W, C)."""
    height, width, channels = values.shape
    bitmap = most == 1 and channels == 1
    number = (1 if bitmap else 2 if channels == 1 else 3) + (0 if plain else 3)
    head = f"P{number}\n# a comment\n{width} {height}\n".encode() + (b"" if bitmap else f"{most}\n".encode())
    if plain:
        return head + b"\n".join(b" ".join(str(value).encode() for value in row.reshape(-1).tolist()) for row in values)
    return head + (packed(values, 1) if bitmap else packed(values, 16 if most > 255 else 8))


def pfm(values: Values, scale: float = -1.0) -> bytes:
    """Return a PFM file of float values (H, W), from the bottom up."""
    height, width = values.shape
    return f"Pf\n{width} {height}\n{scale}\n".encode() + values[::-1].astype("<f4" if scale < 0 else ">f4").tobytes()


def bmp(values: Values, bits: int, palette: bytes = b"") -> bytes:
    """Return a BMP file of values (H, W, C): indices of 1, 4 or 8 bits, or BGR of 24 or BGRX of 32 bits."""
    height, width = values.shape[:2]
    rows = packed(values, bits if bits <= 8 else 8)
    length = len(rows) // height
    lines = [rows[start : start + length] for start in range(0, len(rows), length)]
    pixels = b"".join(line + b"\0" * (-length % 4) for line in reversed(lines))
    start = 14 + 40 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(pixels), 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + palette + pixels
