"""The images and labels of one split of a dataset of torchvision."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import torch


@attrs.frozen
class Part:
    """The images of one split: paths, or pixels of uint8 (N, 3, H, W), and labels, which are -1 if there are none."""

    images: Sequence[Path] | torch.Tensor
    names: Sequence[str]
    labels: Sequence[int]


def in_files(dataset: Any, root: str) -> Part:
    """Return the files of a dataset by class and path, whatever the order in which the system lists them."""
    each = sorted((label, os.path.relpath(path, root).replace(os.sep, "/"), path) for path, label in _listed(dataset))
    return Part([Path(path) for *_, path in each], [name for _, name, _ in each], [label for label, *_ in each])


def _listed(dataset: Any) -> Iterator[tuple[str, int]]:
    """Yield the path and the label of each image, from the attributes with which torchvision's datasets find them."""
    if hasattr(dataset, "all_categories"):  # iNaturalist
        for label, file in dataset.index:
            yield os.path.join(dataset.root, dataset.all_categories[label], file), label
    elif hasattr(dataset, "categories"):  # Caltech
        many = hasattr(dataset, "annotation_categories")
        folder = os.path.join(dataset.root, "101_ObjectCategories" if many else "256_ObjectCategories")
        for number, label in zip(dataset.index, dataset.y, strict=True):
            file = f"image_{number:04d}.jpg" if many else f"{label + 1:03d}_{number:04d}.jpg"
            yield os.path.join(folder, dataset.categories[label], file), label
    elif hasattr(dataset, "_labels"):
        paths = dataset._images if hasattr(dataset, "_images") else dataset._image_files
        for path, label in zip(paths, dataset._labels, strict=True):
            yield os.fspath(path), -1 if label is None else int(label)
    else:
        pairs = next(getattr(dataset, name) for name in ("_samples", "samples", "imgs") if hasattr(dataset, name))
        for path, label in pairs:
            yield os.fspath(path), -1 if label is None else int(label)


def in_arrays(dataset: Any) -> Part:
    """Return the images of a dataset that holds them in memory, in its order. Gray images get three equal channels."""
    import numpy as np
    import torch

    if hasattr(dataset, "_samples"):  # FER-2013
        pixels = torch.stack([image for image, _ in dataset._samples])
        labels = torch.tensor([-1 if label is None else label for _, label in dataset._samples])
    else:
        pixels = torch.as_tensor(np.asarray(dataset.data))
        labels = torch.as_tensor(np.asarray(dataset.targets if hasattr(dataset, "targets") else dataset.labels)).long()
    if pixels.ndim == 3:
        pixels = pixels[:, None].expand(-1, 3, -1, -1)
    elif pixels.shape[1] != 3:
        pixels = pixels.permute(0, 3, 1, 2)
    labels = labels[:, 0] if labels.ndim == 2 else labels  # the first of QMNIST's columns is the class
    return Part(pixels.contiguous(), [*map(str, range(len(labels)))], labels.tolist())


def names_of(dataset: Any) -> list[str]:
    """Return the names of the classes, or an empty list if there are only numbers."""
    for attribute in ("wnids", "classes", "categories", "all_categories"):
        if names := getattr(dataset, attribute, None):
            return [str(name) for name in names]
    return []
