"""What the tricks that read image files have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipe.api import fail

if TYPE_CHECKING:
    from recipe.api import FileParts, Files, FoundImages, Sets


def check_shares(*parts: float | str | None) -> None:
    """Raise `RecipeError` (E024) if nothing would be left to train on."""
    if sum(part for part in parts if isinstance(part, float)) >= 1:
        help = "state smaller parts, such as `val=10% test=10%`"
        raise fail("E024", "`val` and `test` are all of the images, so there are none to train on", help=help)


def sets_of(parts: FileParts, size: int, on_error: str) -> Sets:
    """Return the images of all parts. Raises `ValueError` for an empty file, unless such images are skipped."""
    from recipe.api import Sets

    test, external = (None if part is None else _files(part, size, on_error) for part in (parts.test, parts.external))
    return Sets(
        _files(parts.train, size, on_error),
        _files(parts.val, size, on_error),
        len(parts.classes),
        names=parts.classes,
        notes=parts.notes,
        test=test,
        external=external,
    )


def _files(found: FoundImages, size: int, on_error: str) -> Files:
    import torch

    from recipe.api import Files

    if found.empty and on_error == "fail":
        more = f", like {len(found.empty) - 1} more" if len(found.empty) > 1 else ""
        raise ValueError(f"the image `{found.empty[0]}` is an empty file{more}")
    return Files(found.files, torch.tensor(found.labels, dtype=torch.int64), size)
