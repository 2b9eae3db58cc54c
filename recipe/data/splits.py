"""Decide which images of a folder are held out, by their names alone. Needs no torch.

An image's part follows from a hash of its class and its path in the folder of the class. So images that are added or
removed move no others between the parts, and the parts are the same on another machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from recipe.base.wording import plural
from recipe.data.folders import FoundImages

PARTS = ("train", "val", "test")

MOST_WILDCARDS = 4
"""The most `*` in a group pattern."""

Key = tuple[str, ...]
"""What the part of an image depends on."""


@attrs.frozen
class Split:
    """How the images of one folder are divided."""

    val: float = 0.0
    """The expected share of the images to evaluate on during training."""
    test: float = 0.0
    """The expected share of the images that are only evaluated on at the end."""
    seed: int = 0
    """Another seed divides the images in another way."""
    group: str | None = None
    """The pattern of paths whose `{}` names what has to stay together, or None if each image stands alone."""

    def divide(self, root: Path, classes: Sequence[str], found: FoundImages) -> dict[str, FoundImages]:
        """Return the images of each part, of those that were found in the class folders of ``root``.

        Where all images of a class would be held out, the last one by its hash stays in training, with its group.
        Raises `ValueError` if the group pattern does not match the path of an image.
        """
        keys = [*self._keys(root, classes, found)]
        at = {key: position(self.seed, *key) for key in {*keys}}
        part = {key: self._part_at(where) for key, where in at.items()}
        of_class: dict[int, set[Key]] = {label: set() for label in found.labels}
        for label, key in zip(found.labels, keys, strict=True):
            of_class[label].add(key)
        kept = [max(own, key=at.__getitem__) for own in of_class.values() if all(part[key] != "train" for key in own)]
        part |= dict.fromkeys(kept, "train")
        return {name: found.only([n for n, key in enumerate(keys) if part[key] == name]) for name in PARTS}

    def _part_at(self, where: float) -> str:
        """Return the part at a position. Another share for ``val`` moves no image into or out of ``test``."""
        return "test" if where < self.test else "val" if where < self.test + self.val else "train"

    def _keys(self, root: Path, classes: Sequence[str], found: FoundImages) -> Iterator[Key]:
        """Yield the class of each image and its path in the class folder, or its group."""
        pattern = None if self.group is None else group_pattern(self.group)
        starts = [len(os.fspath(root / name)) + 1 for name in classes]
        for path, label in zip(found.files, found.labels, strict=True):
            name = _normalized(os.fspath(path)[starts[label] :].replace(os.sep, "/"))
            if pattern is None:
                yield classes[label], name
            elif match := pattern.fullmatch(name):
                yield (match[1],)
            else:
                where = f"`{name}` in the folder of the class `{classes[label]}`"
                inside = "/" in name and "/" not in str(self.group)
                skip = "; write `subfolders=skip` to ignore images in subfolders of a class" if inside else ""
                raise ValueError(f"the group pattern `{self.group}` does not match {where}{skip}")


def position(seed: int, *parts: str) -> float:
    """Return a number in [0, 1) that depends only on a seed and some texts, whatever their Unicode form."""
    texts = (str(seed), *map(_normalized, parts))
    hashed = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(hashed[:6], "big") / 2**48


def _normalized(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def group_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a group pattern, whose first group is what `{}` stands for.

    `{}` and `*` stand for any text without `/`, as short as possible; that of `{}` is not empty. Paths have to be in
    Unicode form NFC. Raises `ValueError` if the pattern does not have one `{}` or has more than four `*`.
    """
    if pattern.count("{}") != 1:
        raise ValueError("a group pattern needs one `{}`, such as `{}_*` or `{}/*`")
    if pattern.count("*") > MOST_WILDCARDS:
        raise ValueError(f"a group pattern has at most {plural(MOST_WILDCARDS, 'wildcard')}")
    first, *rest = re.split(r"(\{\}|\*)", unicodedata.normalize("NFC", pattern))
    wildcards = {"{}": "([^/]+?)", "*": "[^/]*?"}
    parts = [f"{wildcards[mark]}{re.escape(literal)}" for mark, literal in zip(rest[::2], rest[1::2], strict=True)]
    # Atomic groups keep the time linear. They lose no match: a later wildcard takes what an earlier one leaves.
    return re.compile("".join([re.escape(first), *(f"(?>{part})" for part in parts[:-1]), parts[-1]]), re.DOTALL)
