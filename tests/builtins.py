"""What the checks can't guess about the built-in tricks, and the files that some of them need."""

from __future__ import annotations

import gzip
import itertools
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from safetensors.torch import save_file
from torchvision.datasets import cifar

import recipe

DATA = "data fake size=32 classes=10 images=16"

# Statements that a trick or a field needs to have an effect.
COMPANY = {
    "base": "lr 1e-4",  # networks without normalization diverge at higher rates
    "data digits": "epochs 1; batch 256; precision bf16",  # trains on the whole dataset
    "loss bce threshold": "augment mixup 1",
    "input interpolation": "augment crop",
    "keep best": "epochs 6; lr 0.1",  # so that the last epoch isn't the best one
    "patience": "epochs 6; lr 0.1",
}

# Values for fields whose kind suggests none, or only values that take too long to train with.
VALUES = {
    "base model": ("squeezenet1_1", "squeezenet1_0"),
    "base classes": ("10", "12"),
    "batch total": ("8", "4"),
    "data digits size": ("32", "40"),
    "data fashion-mnist size": ("32", "40"),
    "data cifar10 size": ("32", "40"),
    "data folder size": ("32", "40"),
    "data folder val": ("50%", "75%"),
    "data hf size": ("32", "40"),
    "data hf val": ("50%", "75%"),
    "data list size": ("32", "40"),
    "data torchvision size": ("32", "40"),
    "data torchvision val": ("50%", "75%"),
    "data list val": ("50%", "75%"),
    "data fake size": ("32", "40"),
    "data fake classes": ("10", "12"),
    "data fake images": ("16", "24"),
    "data fashion-mnist images": ("10", "14"),
    "epochs count": ("2", "1"),
    "input channels": ("1", "3"),
    "lr head factor": ("10", "2"),
}

ELSEWHERE = {
    "base model": "its test weights fit only one model: tests/graph/test_torchvision.py",
    "base least": "it only rejects weights: tests/compiler/test_anyones_weights.py",
    "evaluation": "its defaults change nothing: tests/inference/test_evaluation_words.py",
    "evaluation interpolation": "the images are not resized: tests/inference/test_evaluation_words.py",
    "input": "its defaults change nothing: tests/tricks/test_input_evaluation.py",
    "keep last": "it is the default: tests/tricks/test_keep_last.py",
    "norm sync": "it has no effect in a single process: tests/durability/test_ranks.py",
    "data folder train": "the folder of PATH is used: tests/data/test_layout.py",
    "data folder test": "only a test at the end looks at them: tests/training/test_test_set.py",
    "data folder group": "no images belong together: tests/data/test_layout.py",
    "data folder subfolders": "there are no subfolders: tests/data/test_layout.py",
    "data folder on-error": "all test images are intact: tests/durability/test_skipped.py",
    "data hf repository": "it would be downloaded: tests/tricks/test_hf.py",
    "data hf config": "the dataset has only one: tests/tricks/test_hf.py",
    "data hf image": "there is one such column: tests/tricks/test_hf.py",
    "data hf label": "there is one such column: tests/tricks/test_hf.py",
    "data hf train": "there is one split: tests/tricks/test_hf.py",
    "data hf test": "only a test at the end looks at them: tests/training/test_test_set.py",
    "data hf group": "no images belong together: tests/tricks/test_hf.py",
    "data hf on-error": "all test images are intact: tests/durability/test_skipped.py",
    "data list folder": "the folder of the list is used: tests/data/test_lists.py",
    "data list image": "its usual name is used: tests/data/test_lists.py",
    "data list label": "its usual name is used: tests/data/test_lists.py",
    "data list split": "the list has no such column: tests/data/test_lists.py",
    "data list test": "only a test at the end looks at them: tests/training/test_test_set.py",
    "data list group": "no images belong together: tests/data/test_lists.py",
    "data list on-error": "all test images are intact: tests/durability/test_skipped.py",
    "data torchvision on-error": "its images are in memory: tests/durability/test_skipped.py",
    "data torchvision orientation": "its images are in memory: tests/tricks/test_torchvision.py",
    "data torchvision background": "its images are in memory: tests/tricks/test_torchvision.py",
    "data torchvision download": "no files are missing: tests/tricks/test_torchvision.py",
    "data torchvision variant": "the dataset has none: tests/tricks/test_torchvision.py",
    "data torchvision test": "only a test at the end looks at them: tests/training/test_test_set.py",
    "data torchvision group": "the images have no names: tests/data/test_layout.py",
}


def values(files: Path) -> Mapping[str, tuple[str, str]]:
    """Return all values, including those that name files in a folder."""
    paths = {
        "base weights": "weights-{}.safetensors",
        "data cifar10 path": "cifar10-{}",
        "data fashion-mnist path": "fashion-mnist-{}",
        "data folder path": "folder-{}",
        "data hf folder": "rows-{}",
        "data list path": "list-{}.csv",
        "loss distill teacher": "teacher-{}.recipe",
    }
    two = {name: [f'"{files / stem.format(number)}"' for number in (0, 1)] for name, stem in paths.items()}
    named = [f'{name} root="{files / "torchvision"}"' for name in ("MNIST", "KMNIST")]
    two["data torchvision dataset"] = named
    return VALUES | {name: (one, other) for name, (one, other) in two.items()}


def _write_folder(root: Path, shade: int) -> None:
    """Images of two classes. They are turned by 90°, and some are transparent."""
    exif = Image.Exif()
    exif[0x112] = 6
    for part, name, number in itertools.product(("train", "val"), ("cat", "dog"), range(4)):
        path = root / part / name / f"{number}.{'png' if number == 0 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (40, 48, 4 if number == 0 else 3)
        pixels = np.random.default_rng([shade, number, name == "cat"]).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(path, exif=exif)


def _write_list(path: Path, folder: Path) -> None:
    """Write a list of the training images of a folder."""
    images = sorted((folder / "train").rglob("*.*"))
    lines = [f"{image.relative_to(path.parent)},{image.parent.name}" for image in images]
    path.write_text("\n".join(("image,label", *lines)))


def _write_rows(folder: Path, images: Path) -> None:
    """Write a Parquet file with the training images of a folder."""
    from datasets import Dataset, Features, Value, disable_progress_bars
    from datasets import Image as Images

    files = sorted((images / "train").rglob("*.*"))
    cells = [{"bytes": file.read_bytes(), "path": f"{file.parent.name}-{file.name}"} for file in files]
    columns = {"image": cells, "label": [file.parent.name for file in files]}
    features = Features({"image": Images(), "label": Value("string")})
    folder.mkdir()
    disable_progress_bars()
    Dataset.from_dict(columns, features=features).to_parquet(folder / "train.parquet")


def _write_fashion(root: Path, shade: int, packed: bool = True) -> None:
    root.mkdir(parents=True)
    generator = np.random.default_rng(shade)
    for part in ("train", "t10k"):
        pixels = generator.integers(0, 256, (16, 28, 28), dtype=np.uint8)
        labels = np.arange(16, dtype=np.uint8) % 10
        images = struct.pack(">4B3I", 0, 0, 8, 3, *pixels.shape) + pixels.tobytes()
        file = root / f"{part}-images-idx3-ubyte"
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(images)) if packed else file.write_bytes(images)
        (root / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 16) + labels.tobytes())


def _write_cifar(root: Path, shade: int) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(shade)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        entry = {"data": generator.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 3]}
        (folder / name).write_bytes(pickle.dumps(entry))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(number) for number in range(10)]}))


def unchecked_files() -> Any:
    """Return a context in which torchvision accepts made-up CIFAR-10 files."""
    return mock.patch.object(cifar, "check_integrity", return_value=True)


def write_files(root: Path) -> None:
    """Write two of everything that a field may name by path: ``folder-0``, ``folder-1`` and so on."""
    for number in (0, 1):
        _write_folder(root / f"folder-{number}", number)
        _write_rows(root / f"rows-{number}", root / f"folder-{number}")
        _write_list(root / f"list-{number}.csv", root / f"folder-{number}")
        _write_fashion(root / f"fashion-mnist-{number}", number)
        _write_fashion(root / "torchvision" / ("MNIST", "KMNIST")[number] / "raw", number, packed=False)
        _write_cifar(root / f"cifar10-{number}", number)
        (root / f"teacher-{number}.recipe").write_text(
            f"base squeezenet1_1\n{DATA}\nbatch 4\nepochs 4\nlr 1e-3\nseed {number}\n"
        )
        weights = recipe.compile(f"base squeezenet1_1 classes=10; init kaiming; seed {number}").model.state_dict()
        save_file(weights, root / f"weights-{number}.safetensors")
