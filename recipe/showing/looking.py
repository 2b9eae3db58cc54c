"""Look at a dataset: the images of each part and class, their sizes and channels, and those with the same contents."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from recipe.data.encoded import ImageSource
from recipe.data.headers import Header
from recipe.data.images import Files, Images, InMemory, Sets
from recipe.data.survey import Alike, headers, same_files, same_pixels
from recipe.inference.datasets import check_labels, lacking, read_sets, what_to_do
from recipe.plan.plan import Plan
from recipe.plugins.field_contracts import ON_ERROR, SKIP, ImageFields
from recipe.plugins.uses import Use
from recipe.showing.report import DataReport, Duplicates, Group, Member, Part, Pixels, Sizes, Unreadable


def look(plan: Plan, seconds: float) -> DataReport:
    """Look at the images of a plan for at most about this time. Raises `RecipeError` if they can't be opened."""
    until, fields = time.monotonic() + seconds, plan.image_fields
    assert plan.images is not None
    assert fields is not None
    sets = read_sets(_lenient(plan.images), faulty=True)
    check_labels(sets, plan.images)
    labeled = _Labeled.of(sets)
    seen, unreadable = _seen(labeled, fields, time.monotonic() + (until - time.monotonic()) / 2)
    return DataReport(
        plan.images.statement(),
        fields.size,
        tuple(map(labeled.name_of, range(sets.classes))),
        tuple(labeled.part(name, images) for name, images in labeled.parts.items()),
        seen,
        unreadable,
        _duplicates(labeled, until),
        sets.notes,
        fields.skips,
        what_to_do(plan.images),
        tuple(_unfit(sets, plan.images)),
    )


def _unfit(sets: Sets, use: Use) -> Iterator[str]:
    """Yield why a training refuses a dataset. One that only has held-out images isn't trained on."""
    if sets.fault is not None:
        yield "; ".join((str(sets.fault), *getattr(sets.fault, "__notes__", ())))
    for lack in lacking(sets, use, training=bool(len(sets.train.labels))):
        yield "; ".join(filter(None, (lack.message, lack.help)))


def _lenient(use: Use) -> Use:
    """Return the trick that opens images so that it leaves those that can't be read to a look at all of them."""
    if not hasattr(use.trick, ON_ERROR):
        return use
    trick: Any = use.trick
    return attrs.evolve(use, trick=attrs.evolve(trick, **{ON_ERROR: SKIP}))


@attrs.frozen
class _Labeled:
    """The parts of a dataset, whose images are numbered one part after another."""

    parts: Mapping[str, Images]
    names: tuple[str, ...]
    classes: int

    @classmethod
    def of(cls, sets: Sets) -> _Labeled:
        parts = {"training": sets.train, "held-out": sets.val, "test": sets.test}
        return cls({name: part for name, part in parts.items() if part is not None}, sets.names, sets.classes)

    def name_of(self, label: int) -> str:
        return self.names[label] if label < len(self.names) else str(label)

    @property
    def paths(self) -> list[ImageSource]:
        """The paths of all images, or an empty list if some are not read from files."""
        every = [part.paths for part in self.parts.values() if isinstance(part, Files)]
        return [path for paths in every for path in paths] if len(every) == len(self.parts) else []

    @property
    def in_memory(self) -> list[InMemory]:
        """All parts, or an empty list if some are not in memory."""
        every = [part for part in self.parts.values() if isinstance(part, InMemory)]
        return every if len(every) == len(self.parts) else []

    def part(self, name: str, images: Images) -> Part:
        counts = torch.bincount(images.labels.cpu(), minlength=self.classes)
        return Part(name, tuple(counts.tolist()))

    def members(self, positions: Sequence[int]) -> tuple[Member, ...]:
        """Return the images with these numbers."""
        members = []
        for position in positions:
            for name, part in self.parts.items():
                if position < len(part.labels):
                    label = int(part.labels[position])
                    path = part.paths[position] if isinstance(part, Files) else None
                    members.append(Member(name, str(path or position), self.name_of(label)))
                    break
                position -= len(part.labels)
        return tuple(members)


def _seen(labeled: _Labeled, fields: ImageFields, until: float) -> tuple[Pixels, tuple[Unreadable, ...]]:
    """Return the sizes and channels of images, and the images that can't be read."""
    total = sum(len(part.labels) for part in labeled.parts.values())
    if parts := labeled.in_memory:
        each = [(_header(part.pixels if part.original is None else part.original), len(part.labels)) for part in parts]
        return _of_headers(each, total, total, fields), ()
    paths = labeled.paths
    found = headers(paths, fields.appearance, until)
    counted = [(header, 1) for header in found.read.values()]
    broken = zip(labeled.members([*found.unreadable]), found.unreadable.values(), strict=True)
    return _of_headers(counted, found.count, total, fields), tuple(Unreadable(*each) for each in broken)


def _header(pixels: Tensor) -> Header:
    """Return what the header of a file with images like these would say: uint8 (N, C, H, W)."""
    _, channels, height, width = pixels.shape
    return Header(width, height, "gray" if channels == 1 else "RGB", 8, turned=False, transparent=False)


def _of_headers(counted: Sequence[tuple[Header, int]], looked_at: int, total: int, fields: ImageFields) -> Pixels:
    """Sum up headers, each of some number of images."""
    sizes, kinds = Counter[tuple[int, int]](), Counter[str]()
    turned = transparent = deep = 0
    for header, count in counted:
        sizes[header.width, header.height] += count
        kinds[header.kind] += count
        turned += count * header.turned
        transparent += count * header.transparent
        deep += count * (header.bits > 8)
    of_sizes = None
    if +sizes:
        by_area = sorted(+sizes, key=lambda each: (each[0] * each[1], each))
        (frequent, number), *_ = sizes.most_common(1)
        smaller = sum(count for sides, count in sizes.items() if min(sides) < fields.size)
        of_sizes = Sizes(by_area[0], by_area[-1], frequent, number, smaller)
    return Pixels(
        looked_at, total, of_sizes, dict((+kinds).most_common()), transparent, deep, turned, fields.appearance
    )


def _duplicates(labeled: _Labeled, until: float) -> Duplicates | None:
    """Return the images with the same contents, or None if a trick's own code loads them."""
    if parts := labeled.in_memory:
        alike = same_pixels(parts, until)
    elif paths := labeled.paths:
        alike = same_files(paths, until)
    else:
        return None
    return Duplicates(_groups(labeled, alike), alike.compared)


def _groups(labeled: _Labeled, alike: Alike) -> tuple[Group, ...]:
    return tuple(Group(labeled.members(positions)) for positions in alike.groups)
