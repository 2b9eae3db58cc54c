"""The images, labels and groups in the columns of a dataset of Hugging Face, and which of its splits are for what."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from recipe.api import Encoded, Labeled, sorted_classes
from recipe.tricks._hf import ImageColumn, Opened
from recipe.tricks._hf_features import image_column, label_column, splits_for, unclear
from recipe.tricks._hf_names import names_of
from recipe.tricks._hf_values import check_rows, groups_of, is_labeled, texts_of

if TYPE_CHECKING:
    from recipe.api import ImageSource


@attrs.frozen(kw_only=True)
class Stated:
    """What a recipe states about the splits and columns of a dataset."""

    splits: Mapping[str, str]
    """The splits for ``train``, ``val`` and ``test``, as far as they are stated."""
    shared: Collection[str]
    """The parts for which a share of the training images is stated."""
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
    name, used = dataset.name, splits_for(dataset, stated.splits, stated.shared)
    main = next(used[part] for part in ("train", "val", "test") if part in used)
    features = dataset.splits[main].features
    image = image_column(name, features, stated.image)
    label = label_column(name, features, stated.label)
    if stated.group is not None and stated.group not in features:
        raise unclear(name, f"has no column `{stated.group}`", features)
    notes = [f"`{name}`: images in the column `{image}`, labels in `{label}`"]
    empty = {split for split, rows in dataset.splits.items() if not len(rows)}
    notes += [f"`{name}`: the split `{split}` is not used, since it has no images" for split in sorted(empty)]
    if unused := sorted({*dataset.splits} - empty - {*used.values()}):
        notes.append(f"`{name}`: splits that are not used: {', '.join(f'`{split}`' for split in unused)}")
    if "test" not in stated.splits and "test" in used and not is_labeled(dataset.splits[used["test"]], label):
        notes.append(f"`{name}`: the split `{used['test']}` is not used, since it has no labels")
        del used["test"]
    texts = {part: texts_of(name, split, dataset.splits[split], label) for part, split in used.items()}
    check_rows(name, used, texts, "without a label")
    classes = tuple(
        getattr(features[label], "names", None)
        or sorted_classes(texts.get("train") or chain.from_iterable(texts.values()))
    )
    number_of = {text: number for number, text in enumerate(classes)}
    known = {part: [text if text in number_of else "" for text in each] for part, each in texts.items()}
    unknown = sorted({*chain.from_iterable(texts.values())} - {*classes})
    check_rows(name, used, known, f"of classes that the split `{main}` lacks, such as `{''.join(unknown[:1])}`,")
    groups = {part: groups_of(dataset.splits[split], stated.group) for part, split in used.items()}
    check_rows(name, used, groups, "without a group")
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
            groups=groups[part],
            by="by their names" if named else "by their row numbers",
        )
    return Columns(classes, labeled, images, tuple(notes))


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
    check_rows(dataset, {"": split}, {"": there}, "without content")
    if all(without):
        return tuple(map(Path, paths)), names_of(paths, folder)
    reader = ImageColumn(encoded, column)
    every = (Encoded(dataset, f"{split}/{number}", number, reader) for number in range(len(paths)))
    return tuple(every), names_of(paths, folder)
