"""The sets of images that are in files, or in parts of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recipe.api import Division, FileParts, ImageSource, Labeled, Sets


def sets_of(parts: FileParts, size: int) -> Sets:
    """Return the images of all parts."""
    from recipe.api import Files, Sets

    train, val = (Files.of(part, size) for part in (parts.train, parts.val))
    test, external = (None if part is None else Files.of(part, size) for part in (parts.test, parts.external))
    names = parts.classes
    return Sets(train, val, len(names), names=names, notes=parts.notes, test=test, external=external, fault=parts.fault)


def divided_sets(
    division: Division,
    labeled: Mapping[str, Labeled],
    images: Mapping[str, Sequence[ImageSource]],
    classes: Sequence[str],
    size: int,
    notes: Sequence[str],
) -> Sets:
    """Return the images of a dataset that is divided, by the part of the dataset that has them."""
    import torch

    from recipe.api import Files, Sets

    def files(chosen: tuple[str, Sequence[int]] | None) -> Files:
        part, indices = chosen or ("", ())
        labels = torch.tensor([labeled[part].labels[index] for index in indices], dtype=torch.int64)
        return Files(tuple(images[part][index] for index in indices), labels, size)

    return Sets(
        files(division.train),
        files(division.val),
        len(classes),
        names=tuple(classes),
        notes=(*notes, *division.notes),
        test=None if division.test is None else files(division.test),
        external=None if division.external is None else files(division.external),
    )


def divided_arrays(
    division: Division,
    labeled: Mapping[str, Labeled],
    pixels: Mapping[str, Any],
    classes: Sequence[str],
    size: int,
    notes: Sequence[str],
) -> Sets:
    """Return the images of a dataset that is divided, from those in memory of each of its parts, resized."""
    import torch

    from recipe.api import InMemory, in_memory

    def images(chosen: tuple[str, Sequence[int]]) -> InMemory:
        part, indices = chosen
        return InMemory(pixels[part][indices], torch.tensor(labeled[part].labels, dtype=torch.int64)[indices])

    val = images(division.val)
    test = None if division.test is None else images(division.test)
    if division.external is None or division.external is division.test:
        external = None if division.external is None else test
    else:
        external = images(division.external)
    return in_memory(
        InMemory(val.pixels[:0], val.labels[:0]) if division.train is None else images(division.train),
        val,
        len(classes),
        size,
        test=test,
        external=external,
        names=tuple(classes),
        notes=(*notes, *division.notes),
    )
