"""What the tricks that read image files have in common: fields, and what is checked about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from recipe.api import BACKGROUNDS, ORIENTATIONS, choice, fail, group_pattern, integer

if TYPE_CHECKING:
    from recipe.api import PlanView

COLUMN = "the name of a column"
SPLIT = "the name of a split"
"""What messages call these values of fields."""


def size() -> Any:
    """Return the field for the size of images."""
    return integer(224, "height and width of the network's input, in pixels", minimum=8, maximum=1024)


def workers() -> Any:
    """Return the field for the processes that decode images."""
    help = "processes that decode images; 0 uses the main process"
    return integer(4, help, minimum=0, maximum=256, result=False)


def on_error() -> Any:
    """Return the field for what to do about broken images."""
    return choice("fail", "what to do if an image can't be decoded", of=("fail", "skip"))


def split_seed() -> Any:
    """Return the field for which of many ways images are split."""
    return integer(0, "another number splits the images in another way", minimum=0, before=0)


def orientation(before: str = "stored") -> Any:
    """Return the field for whether images are turned. ``before`` is what the trick did before it had this field."""
    help = "whether images are turned by their EXIF orientation, or are as `stored`; TIFF files are always turned"
    return choice("exif", help, of=ORIENTATIONS, before=before)


def background(before: str = "ignored") -> Any:
    """Return the field for what is behind transparent pixels. ``before`` is as for `orientation`."""
    help = "what is behind transparent pixels; if `ignored`, their hidden colors become visible"
    return choice("white", help, of=BACKGROUNDS, before=before)


def column_or_pattern(text: str) -> None:
    """Raise `ValueError` for a group pattern that isn't one. A text without `{}` is a column."""
    if "{}" in text:
        group_pattern(text)


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
