"""Kinds of damage to a file or a folder. Each function changes one path, and chooses details at random."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

Damage = Callable[[Path, Random, Path], object]
"""Damages a path. The last argument is a folder elsewhere, for links to point at."""


def _bytes(change: Callable[[bytearray, Random], bytes | bytearray]) -> Damage:
    def damage(path: Path, random: Random, elsewhere: Path) -> None:
        path.write_bytes(change(bytearray(path.read_bytes()), random))

    return damage


def _flipped(content: bytearray, random: Random) -> bytearray:
    for _ in range(random.choice((1, 1, 1, 8))):
        if content:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return content


def _zeroed(content: bytearray, random: Random) -> bytearray:
    start = random.randrange(len(content) + 1)
    length = min(4096, len(content) - start)
    content[start : start + length] = bytes(length)
    return content


WRONG: tuple[str, ...] = (
    *("null", "true", "[]", "{}", '"x"', '""', "-1", "0", "0.5", "NaN", "Infinity", "-Infinity", "1e999"),
    *("1" * 400, "1" * 10_000, f"1e{'9' * 40}", "[" * 200_000, "[" * 500 + "]" * 500, r'"\ud800"', r'"\u001b[31m\n"'),
)
"""JSON values, and what looks like them."""


def _valued(content: bytearray, random: Random) -> bytes:
    """Replace a value in JSON, or a number in another text."""
    text = content.decode("utf-8", "surrogateescape")
    values = [*re.finditer(r'(?<=: )("[^"]*"|[-+.\w]+)', text)] or [*re.finditer(r"\d+(\.\d+)?", text)]
    if values:
        chosen = random.choice(values)
        text = text[: chosen.start()] + random.choice(WRONG) + text[chosen.end() :]
    return text.encode("utf-8", "surrogateescape")


def _keyless(content: bytearray, random: Random) -> bytes:
    """Remove a field from a JSON object, or a line from another text."""
    try:
        value: Any = json.loads(content)
        del value[random.choice(list(value))]
        return json.dumps(value, indent=2).encode()
    except (ValueError, TypeError, IndexError, KeyError):
        lines = bytes(content).splitlines(keepends=True)
        if lines:
            del lines[random.randrange(len(lines))]
        return b"".join(lines)


def _replaced(make: Callable[[Path, Path], object]) -> Damage:
    def damage(path: Path, random: Random, elsewhere: Path) -> None:
        remove(path)
        make(path, elsewhere)

    return damage


def remove(path: Path) -> None:
    """Remove a file or a folder, but nothing that a link points at."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


INSTEAD: dict[str, Damage] = {
    "missing": _replaced(lambda path, elsewhere: None),
    "a pipe": _replaced(lambda path, elsewhere: os.mkfifo(path)),
    "a link to a file": _replaced(lambda path, elsewhere: path.symlink_to(elsewhere / "file")),
    "a link to a folder": _replaced(lambda path, elsewhere: path.symlink_to(elsewhere / "folder")),
    "a link to nothing": _replaced(lambda path, elsewhere: path.symlink_to(elsewhere / "nothing")),
    "a link to itself": _replaced(lambda path, elsewhere: path.symlink_to(path.name)),
    "a link to a device": _replaced(lambda path, elsewhere: path.symlink_to("/dev/zero")),
}
"""What can be in the place of a file or a folder."""

OF_FOLDERS: dict[str, Damage] = {
    **INSTEAD,
    "a file": _replaced(lambda path, elsewhere: path.write_text("precious")),
    "an empty folder": _replaced(lambda path, elsewhere: path.mkdir()),
}

OF_FILES: dict[str, Damage] = {
    **INSTEAD,
    "a folder": _replaced(lambda path, elsewhere: (path.mkdir(), (path / "file").write_text("precious"))),
    "cut short": _bytes(lambda content, random: content[: random.randrange(len(content) + 1)]),
    "empty": _bytes(lambda content, random: b""),
    "flipped bits": _bytes(_flipped),
    "zeros": _bytes(_zeroed),
    "noise": _bytes(lambda content, random: random.randbytes(random.choice((1, 100, 10_000)))),
    "longer": _bytes(lambda content, random: content + random.randbytes(random.choice((1, 100)))),
    "twice": _bytes(lambda content, random: content * 2),
    "another value": _bytes(_valued),
    "one of many values": _bytes(lambda content, random: random.choice(WRONG).encode()),
    "without a field": _bytes(_keyless),
    "with a byte order mark": _bytes(lambda content, random: b"\xef\xbb\xbf" + content),
}
