"""The images, labels and groups in the columns of a dataset of Hugging Face, and which of its splits are for what."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from recipe.api import Encoded, Labeled, fail, sorted_classes
from recipe.tricks._hf import ImageColumn, Opened
from recipe.tricks._hf_features import image_column, label_column, splits_for, unclear

if TYPE_CHECKING:
    from recipe.api import ImageSource

SHOWN = 5
"""The number of rows that an error names."""


@attrs.frozen(kw_only=True)
class Stated:
    """What a recipe states about the splits and columns of a dataset."""

    splits: Mapping[str, str]
    """The splits for ``train``, ``val`` and ``test``, as far as they are stated."""
    image: str | None
    label: str | None
    group: str | None


@attrs.frozen
class Columns:
    """The images of a dataset for each part."""

    classes: tuple[str, ...]
    labeled: Mapping[str, Labeled]
    images: Mapping[str, Sequence[ImageSource]]
    notes: tuple[str, ...]


def columns_of(dataset: Opened, stated: Stated, folder: str | None) -> Columns:
    """Find the images of a dataset and their labels. Raises `RecipeError` (E070) if they aren't clear or some lack."""
    used = splits_for(dataset, stated.splits)
    features = next(iter(dataset.splits.values())).features
    image = image_column(dataset.name, features, stated.image)
    label = label_column(dataset.name, features, stated.label)
    if stated.group is not None and stated.group not in features:
        raise unclear(dataset.name, f"has no column `{stated.group}`", features)
    notes = [f"`{dataset.name}`: images in the column `{image}`, labels in `{label}`"]
    if unused := sorted({*dataset.splits} - {*used.values()}):
        notes.append(f"`{dataset.name}`: splits that are not used: {', '.join(f'`{name}`' for name in unused)}")
    names = getattr(features[label], "names", None)
    texts = {part: _texts(dataset.splits[split], label, names) for part, split in used.items()}
    if "test" not in stated.splits and "test" in used and not any(texts["test"]):
        notes.append(f"`{dataset.name}`: the split `{used['test']}` is not used, since it has no labels")
        del used["test"], texts["test"]
    _check(dataset.name, used, texts, "without a label")
    classes = tuple(names or sorted_classes(texts.get("train") or chain.from_iterable(texts.values())))
    number_of = {name: number for number, name in enumerate(classes)}
    known = {part: [text if text in number_of else "" for text in each] for part, each in texts.items()}
    _check(dataset.name, used, known, "with a label that no training image has")
    labeled: dict[str, Labeled] = {}
    images: dict[str, Sequence[ImageSource]] = {}
    for part, split in used.items():
        rows = dataset.splits[split]
        images[part], own = _images(dataset.name, split, rows, image, folder)
        labels = [number_of[text] for text in texts[part]]
        named = all(own) and len({*zip(labels, own, strict=True)}) == len(own)
        labeled[part] = Labeled(
            classes=classes,
            labels=labels,
            names=own if named else [*map(str, range(len(labels)))],
            where=f"`{split}` of `{dataset.name}`",
            groups=[] if stated.group is None else [*map(str, _values(rows, stated.group))],
            by="by their names" if named else "by their row numbers",
        )
    return Columns(classes, labeled, images, tuple(notes))


def _texts(rows: Any, column: str, names: Sequence[str] | None) -> list[str]:
    """Return the label of each row, or an empty text if it has none."""
    values = _values(rows, column)
    if names is None:
        return ["" if value is None else str(value).strip() for value in values]
    return ["" if value is None or value < 0 else names[value] for value in values]


def _check(dataset: str, used: Mapping[str, str], texts: Mapping[str, Sequence[str]], what: str) -> None:
    """Raise `RecipeError` (E070) if rows have an empty text."""
    for part, each in texts.items():
        if lacking := [number for number, text in enumerate(each) if not text]:
            some = ", ".join(map(str, lacking[:SHOWN])) + (", …" if len(lacking) > SHOWN else "")
            where = f"`{dataset}` has images {what} in the split `{used[part]}`"
            raise fail("E070", f"{where}, {len(lacking):,} of {len(each):,}: row {some}")


def _values(rows: Any, column: str) -> list[Any]:
    table: Any = rows.select_columns([column]).with_format("arrow")[:]
    return list(table.column(column).to_pylist())


def _images(
    dataset: str, split: str, rows: Any, column: str, folder: str | None
) -> tuple[Sequence[ImageSource], list[str]]:
    """Return the images of a split, as files if all of them are files, and the names of their files, if they have some.

    Raises `RecipeError` (E070) for rows without an image.
    """
    import pyarrow.compute as compute
    from datasets import Image

    encoded = rows.select_columns([column]).cast_column(column, Image(decode=False)).with_format(None)
    cells: Any = encoded.with_format("arrow")[:].column(column)
    paths = [path or "" for path in compute.struct_field(cells, "path").to_pylist()]
    without = compute.struct_field(cells, "bytes").is_null().to_pylist()
    there = ["" if empty and not path else "image" for empty, path in zip(without, paths, strict=True)]
    _check(dataset, {"": split}, {"": there}, "without content")
    names = [os.path.relpath(path, folder) if folder and os.path.isabs(path) else path for path in paths]
    names = [name.replace(os.sep, "/") for name in names]
    if all(without):
        return tuple(map(Path, paths)), names
    reader = ImageColumn(encoded, column)
    return tuple(Encoded(dataset, f"{split}/{number}", number, reader) for number in range(len(paths))), names
