"""Which splits and columns of a dataset of Hugging Face have the images and labels of each part."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from recipe.api import fail, part_named
from recipe.tricks._hf import Opened

LABELS = ("label", "labels", "class", "category", "target")
"""The usual names of the column of labels, for columns that don't list their classes."""


def splits_for(dataset: Opened, stated: Mapping[str, str], shared: Collection[str] = ()) -> dict[str, str]:
    """Return the split for each part: the stated ones, or else those with the usual names, or the only one.

    Raises `RecipeError` (E070) if that is unclear, or a stated one is missing or empty. ``shared`` are the parts that
    are split off, so that it doesn't matter if the dataset has several splits for one of them.
    """
    has = ", ".join(f"`{name}`" for name in dataset.splits)
    for part, split in stated.items():
        if split not in dataset.splits:
            raise fail("E070", f"`{dataset.name}` has no split `{split}` for `{part}=`", help=f"it has {has}")
        if not len(dataset.splits[split]):
            raise fail("E070", f"`{dataset.name}` has no images in the split `{split}` for `{part}=`")
    used, splits = dict(stated), [name for name, rows in dataset.splits.items() if len(rows)]
    if not splits:
        raise fail("E070", f"`{dataset.name}` has no images")
    for part in ("train", "val", "test"):
        found = [name for name in splits if part_named(name) == part and name not in used.values()]
        if part in used or (part in shared and len(found) > 1):
            continue
        if len(found) > 1:
            raise fail("E070", f"`{dataset.name}` has several splits for `{part}=`", help=f"state one of {has}")
        if found:
            used[part] = found[0]
    if not used and len(splits) == 1:
        used["train"] = splits[0]
    if not used:
        raise fail("E070", f"`{dataset.name}` has no split with a usual name", help=f"state one as `train=`: {has}")
    return used


def image_column(dataset: str, features: Mapping[str, Any], stated: str | None) -> str:
    """Return the column of images: the stated one, or the only one. Raises `RecipeError` (E070)."""
    from datasets import Image

    if stated is not None and stated not in features:
        raise unclear(dataset, f"has no column `{stated}`", features)
    if stated is not None:
        kind = features[stated]
        if not (isinstance(kind, Image) or getattr(kind, "dtype", "") in ("binary", "large_binary")):
            raise unclear(dataset, f"has no images in the column `{stated}`", features)
        return stated
    found = [name for name, kind in features.items() if isinstance(kind, Image)]
    if len(found) != 1:
        why = "has several columns of images" if found else "has no column of images"
        raise unclear(dataset, why, features, "image")
    return found[0]


def label_column(dataset: str, features: Mapping[str, Any], stated: str | None) -> str:
    """Return the column of labels: the stated one, that of classes, or one with a usual name. Raises `RecipeError`."""
    from datasets import ClassLabel

    if stated is not None and stated not in features:
        raise unclear(dataset, f"has no column `{stated}`", features)
    usual = next((name for name in LABELS if name in features), None)
    found = [name for name, kind in features.items() if isinstance(kind, ClassLabel)]
    name = stated or (usual if usual in found or not found else found[0] if len(found) == 1 else None)
    if name is None:
        raise unclear(
            dataset, "has several columns of classes" if found else "has no column of labels", features, "label"
        )
    return name


def check_label(dataset: str, split: str, features: Mapping[str, Any], column: str) -> None:
    """Raise `RecipeError` (E070) unless a split has one class for each image in a column."""
    from datasets import ClassLabel, Value

    kind, where = features.get(column), f"in the column `{column}` of the split `{split}`"
    if kind is None:
        raise unclear(dataset, f"has no column `{column}` in the split `{split}`", features)
    if not isinstance(kind, (ClassLabel, Value)):
        help = "training with several labels per image is not supported"
        raise fail("E070", f"`{dataset}` has more than one label per image {where}", help=help)
    if isinstance(kind, Value) and kind.dtype.startswith(("float", "double", "decimal")):
        help = "regression is not supported"
        raise fail("E070", f"`{dataset}` has numbers that are not classes {where}", help=help)


def unclear(dataset: str, why: str, features: Mapping[str, Any], word: str = "") -> Exception:
    """Return the error (E070) about the columns of a dataset. ``word`` is the field that would choose one."""
    has = ", ".join(f"`{name}`" for name in features)
    return fail("E070", f"`{dataset}` {why}", help=f"state one as `{word}=`: {has}" if word else f"it has {has}")
