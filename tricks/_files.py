"""What the tricks that read image files have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recipe.api import BACKGROUNDS, ORIENTATIONS, choice, fail

if TYPE_CHECKING:
    from recipe.api import Division, FileParts, ImageSource, Labeled, PlanView, Sets


def orientation() -> Any:
    """Return the field for whether images are turned."""
    help = "whether images are turned by their EXIF orientation, or are as `stored`; TIFF files are always turned"
    return choice("exif", help, of=ORIENTATIONS, before="stored")


def background() -> Any:
    """Return the field for what is behind transparent pixels."""
    help = "what is behind transparent pixels; if `ignored`, their hidden colors become visible"
    return choice("white", help, of=BACKGROUNDS, before="ignored")


def check_shares(*parts: float | str | None) -> None:
    """Raise `RecipeError` (E024) if nothing would be left to train on."""
    if sum(part for part in parts if isinstance(part, float)) >= 1:
        help = "state smaller parts, such as `val=10% test=10%`"
        raise fail("E024", "`val` and `test` are all of the images, so there are none to train on", help=help)


def check_apart(**splits: float | str | None) -> None:
    """Raise `RecipeError` (E024) if a split is stated for two parts."""
    first = dict[str, str]()
    for part, split in splits.items():
        if isinstance(split, str) and first.setdefault(split, part) != part:
            both = f"`{first[split]}=` and `{part}=`"
            raise fail("E024", f"the split `{split}` is stated for {both}", help="state another split for one of them")


def stated(plan: PlanView, word: str, *fields: str) -> Iterator[str]:
    """Yield the names of those fields of a trick that the recipe states."""
    use = plan.find(word)
    for field in fields if use is not None else ():
        if use is not None and use.origins[field].kind in ("file", "override"):
            yield field.replace("_", "-")


def sets_of(parts: FileParts, size: int) -> Sets:
    """Return the images of all parts."""
    from recipe.api import Files, Sets

    train, val = (Files.of(part, size) for part in (parts.train, parts.val))
    test, external = (None if part is None else Files.of(part, size) for part in (parts.test, parts.external))
    names = parts.classes
    return Sets(train, val, len(names), names=names, notes=parts.notes, test=test, external=external)


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
