"""What the tricks that read image files have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recipe.api import BACKGROUNDS, ORIENTATIONS, choice, fail

if TYPE_CHECKING:
    from recipe.api import FileParts, Sets


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


def sets_of(parts: FileParts, size: int) -> Sets:
    """Return the images of all parts."""
    from recipe.api import Files, Sets

    train, val = (Files.of(part, size) for part in (parts.train, parts.val))
    test, external = (None if part is None else Files.of(part, size) for part in (parts.test, parts.external))
    names = parts.classes
    return Sets(train, val, len(names), names=names, notes=parts.notes, test=test, external=external)
