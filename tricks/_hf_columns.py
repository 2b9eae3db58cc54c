"""The images, labels and groups in the columns of a dataset of Hugging Face, and which of its splits are for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from recipe.api import Encoded, Labeled, fail, sorted_classes
from recipe.tricks._hf import ImageColumn, Opened
from recipe.tricks._hf_features import check_label, image_column, label_column, splits_for, unclear
from recipe.tricks._hf_names import names_of

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
    name, used = dataset.name, splits_for(dataset, stated.splits)
    main = next(used[part] for part in ("train", "val", "test") if part in used)
    features = dataset.splits[main].features
    image = image_column(name, features, stated.image)
    label = label_column(name, features, stated.label)
    if stated.group is not None and stated.group not in features:
        raise unclear(name, f"has no column `{stated.group}`", features)
    notes = [f"`{name}`: images in the column `{image}`, labels in `{label}`"]
    if unused := sorted({*dataset.splits} - {*used.values()}):
        notes.append(f"`{name}`: splits that are not used: {', '.join(f'`{split}`' for split in unused)}")
    if "test" not in stated.splits and "test" in used and not _is_labeled(dataset.splits[used["test"]], label):
        notes.append(f"`{name}`: the split `{used['test']}` is not used, since it has no labels")
        del used["test"]
    texts = {part: _texts(name, split, dataset.splits[split], label) for part, split in used.items()}
    _check(name, used, texts, "without a label")
    classes = tuple(
        getattr(features[label], "names", None)
        or sorted_classes(texts.get("train") or chain.from_iterable(texts.values()))
    )
    number_of = {text: number for number, text in enumerate(classes)}
    known = {part: [text if text in number_of else "" for text in each] for part, each in texts.items()}
    unknown = sorted({*chain.from_iterable(texts.values())} - {*classes})
    _check(name, used, known, f"of classes that the split `{main}` lacks, such as `{''.join(unknown[:1])}`,")
    labeled: dict[str, Labeled] = {}
    images: dict[str, Sequence[ImageSource]] = {}
    for part, split in used.items():
        rows = dataset.splits[split]
        images[part], own = _images(name, split, rows, image, folder)
        labels = [number_of[text] for text in texts[part]]
        named = all(own) and len({*zip(labels, own, strict=True)}) == len(own)
        labeled[part] = Labeled(
            classes=classes,
            labels=labels,
            names=own if named else [*map(str, range(len(labels)))],
            where=f"`{split}` of `{name}`",
            groups=[] if stated.group is None else [*map(str, _values(rows, stated.group))],
            by="by their names" if named else "by their row numbers",
        )
    return Columns(classes, labeled, images, tuple(notes))


def _is_labeled(rows: Any, column: str) -> bool:
    """Whether any image of a split has a label. In a column of classes, -1 is none."""
    return column in rows.features and any(value is not None and value != -1 for value in _values(rows, column))


def _texts(dataset: str, split: str, rows: Any, column: str) -> list[str]:
    """Return the label of each row by the classes of its own split, or an empty text if it has none."""
    check_label(dataset, split, rows.features, column)
    values, names = _values(rows, column), getattr(rows.features[column], "names", None)
    if names is None:
        return ["" if value is None else str(value).strip() for value in values]
    return ["" if value is None or value not in range(len(names)) else names[value] for value in values]


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
    if all(without):
        return tuple(map(Path, paths)), names_of(paths, folder)
    reader = ImageColumn(encoded, column)
    every = (Encoded(dataset, f"{split}/{number}", number, reader) for number in range(len(paths)))
    return tuple(every), names_of(paths, folder)
