"""Decide which images of a dataset are held out, by their names alone. Needs no torch.

An image's part follows from a hash of its class and its name, such as its path in the folder of the class. So images
that are added or removed move no others between the parts, and the parts are the same on another machine.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence

import attrs

from recipe.base.wording import plural

PARTS = ("train", "val", "test")

NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The usual names of each part, of its folder or split: those that Hugging Face's library knows."""


def part_named(name: str) -> str:
    """Return the part whose usual name this is, in upper or lower case: ``train``, ``val`` or ``test``, or empty."""
    return next((part for part, names in NAMES.items() if name.lower() in names), "")


MOST_WILDCARDS = 4
"""The most `*` in a group pattern."""

Key = tuple[str, ...]
"""What the part of an image depends on."""


@attrs.frozen
class Split:
    """How images are divided."""

    val: float = 0.0
    """The expected share of the images to evaluate on during training."""
    test: float = 0.0
    """The expected share of the images that are only evaluated on at the end."""
    seed: int = 0
    """Another seed divides the images in another way."""
    group: str | None = None
    """The pattern of paths whose `{}` names what has to stay together, or None if each image stands alone."""
    help: str = ""
    """What to add to the error about an image in a subfolder that the pattern doesn't match."""

    def divide(
        self, classes: Sequence[str], labels: Sequence[int], names: Sequence[str], groups: Sequence[str] = ()
    ) -> dict[str, list[int]]:
        """Return the indices of the images of each part.

        Where all images of a class would be held out, the last one by its hash stays in training, with its group.
        Raises `ValueError` if the group pattern does not match a name.

        Args:
            classes: The names of the classes.
            labels: The class index of each image.
            names: The name of each image: another one for every image of a class, with ``/`` between folders.
            groups: What each image belongs to, or empty if only the pattern says so.
        """
        keys = [(group,) for group in groups] if groups else [*self._keys(classes, labels, names)]
        at = {key: position(self.seed, *key) for key in {*keys}}
        part = {key: self._part_at(where) for key, where in at.items()}
        of_class: dict[int, set[Key]] = {label: set() for label in labels}
        for label, key in zip(labels, keys, strict=True):
            of_class[label].add(key)
        kept = [max(own, key=at.__getitem__) for own in of_class.values() if all(part[key] != "train" for key in own)]
        part |= dict.fromkeys(kept, "train")
        return {name: [n for n, key in enumerate(keys) if part[key] == name] for name in PARTS}

    def _part_at(self, where: float) -> str:
        """Return the part at a position. Another share for ``val`` moves no image into or out of ``test``."""
        return "test" if where < self.test else "val" if where < self.test + self.val else "train"

    def _keys(self, classes: Sequence[str], labels: Sequence[int], names: Sequence[str]) -> Iterator[Key]:
        """Yield the class of each image and its name, or its group."""
        pattern = None if self.group is None else group_pattern(self.group)
        for label, name in zip(labels, map(_normalized, names), strict=True):
            if pattern is None:
                yield classes[label], name
            elif match := pattern.fullmatch(name):
                yield (match[1],)
            else:
                where = f"`{name}` of the class `{classes[label]}`"
                inside = "/" in name and "/" not in str(self.group)
                help = self.help if inside else ""
                raise ValueError(f"the group pattern `{self.group}` does not match {where}{help}")


def groups_of(names: Sequence[str], group: str | None) -> list[str]:
    """Return what a group pattern finds in each name, or an empty text where it does not match."""
    pattern = None if group is None else group_pattern(group)
    matches = (None if pattern is None else pattern.fullmatch(_normalized(name)) for name in names)
    return ["" if match is None else match[1] for match in matches]


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
