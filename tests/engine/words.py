"""Every word of the vocabulary as a statement of a recipe, and the files that some of them name."""

from __future__ import annotations

import gzip
import itertools
import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import save_file

import recipe
from recipe.fields import Architecture, Choice, Field, FilePath, Number, Numbers, Teacher
from recipe.registry import Vocabulary
from recipe.slots import EXCLUSIVE

WORDS = Vocabulary.installed()
KEYS = WORDS.keys()
FIELDS = [(key, field) for key in KEYS for field in WORDS.load(*key).declared.fields]
DATA = "data fake size=32 classes=10 images=16"
BASE = f"base resnet18; {DATA}; batch 8; epochs 2; lr 0.05; init stock"

# Where a trick or a field shows only in some company: what is laid over the recipe on both sides.
COMPANY = {
    "loss": "base googlenet; data fake size=64 classes=10 images=16; epochs 1",
    "loss aux": "base googlenet; data fake size=64 classes=10 images=16; epochs 1",
    "init": "base resnet18",
    "data digits": "epochs 1; batch 256; precision bf16",  # the whole set is trained on
    "lr every": "lr cosine",
    "tweak A": "base resnet50",
    "tweak B": "base resnet50",
    "optimizer nag": "optimizer sgd",
    "decay no-bias": "decay 0.5",
    "decay no-bias norms": "decay 0.5; init kaiming",
    "init zero-gamma": "epochs 1",
    "loss bce threshold": "augment mixup 1",
}
# Values that a kind does not suggest by itself.
SAMPLES: dict[str, tuple[str, str]] = {
    "augment crop aspect": ("1", "1.5"),
    "base classes": ("10", "12"),
    "base model": ("resnet18", "resnet34"),
    "batch total": ("8", "4"),
    "batch micro images": ("4", "2"),
    "clip norm": ("0.1", "0.2"),
    "data digits size": ("32", "40"),
    "data fashion-mnist size": ("32", "40"),
    "data cifar10 size": ("32", "40"),
    "data folder size": ("32", "40"),
    "data fake size": ("32", "40"),
    "data fake classes": ("10", "12"),
    "data fake images": ("16", "24"),
    "ema decay": ("0", "0.9999"),
    "epochs count": ("2", "1"),
    "loss bce threshold": ("0.1", "0.9"),
    "data fashion-mnist images": ("10", "14"),
    "lr step epochs": ("1", "1.5"),
    "optimizer adamw eps": ("1e-8", "0.1"),
    "seed number": ("0", "1"),
}
PRESENT = {"tweak B": "tweak A"}  # B restores what A changes: it is compared with A, not with nothing


def _write_folder(root: Path, shade: int) -> None:
    for part, name, number in itertools.product(("train", "val"), ("cat", "dog"), range(4)):
        path = root / part / name / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng([shade, number, name == "cat"]).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def _write_fashion(root: Path, shade: int) -> None:
    root.mkdir(parents=True)
    generator = np.random.default_rng(shade)
    for part in ("train", "t10k"):
        pixels = generator.integers(0, 256, (16, 28, 28), dtype=np.uint8)
        labels = np.arange(16, dtype=np.uint8) % 10
        images = struct.pack(">4B3I", 0, 0, 8, 3, *pixels.shape) + pixels.tobytes()
        (root / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (root / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 16) + labels.tobytes())


def _write_cifar(root: Path, shade: int) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(shade)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        entry = {"data": generator.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 3]}
        (folder / name).write_bytes(pickle.dumps(entry))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(number) for number in range(10)]}))


def write_files(root: Path) -> None:
    """Two of everything that a field may name by its path: ``folder-0``, ``folder-1`` and so on."""
    for number in (0, 1):
        _write_folder(root / f"folder-{number}", number)
        _write_fashion(root / f"fashion-mnist-{number}", number)
        _write_cifar(root / f"cifar10-{number}", number)
        (root / f"teacher-{number}.recipe").write_text(
            f"base resnet18\n{DATA}\nbatch 4\nepochs 4\nlr 1e-3\nseed {number}\n"
        )
        weights = recipe.compile(f"base resnet18 classes=10; init kaiming; seed {number}").model.state_dict()
        save_file(weights, root / f"weights-{number}.safetensors")


def samples(word: str, field: Field, files: Path) -> tuple[str, str]:
    """Two values that a field may have, as a recipe writes them."""
    name = f"{word} {field.name}"
    if field.name == "workers":
        return "0", "2"
    if name in SAMPLES:
        return SAMPLES[name]
    kind = field.kind
    if isinstance(kind, FilePath):
        stem = "weights-{}.safetensors" if kind.name else word.split()[-1] + "-{}"
        return f'"{files / stem.format(0)}"', f'"{files / stem.format(1)}"'
    if isinstance(kind, Teacher):
        return f'"{files / "teacher-0.recipe"}"', f'"{files / "teacher-1.recipe"}"'
    if isinstance(kind, Choice) and not isinstance(kind, Architecture):
        return kind.words[0], kind.words[-1]
    if isinstance(kind, Numbers):
        return "1", "2"
    assert isinstance(kind, Number), f"give {name} two values in SAMPLES"
    default = 1 if field.required or field.default is None else field.default
    other = default / 2 if default else 0.25
    return kind.write(default), kind.write(max(1, round(other)) if kind.whole else other)


def statement(word: str, files: Path, changed: str = "", value: str = "") -> str:
    """The trick with its required fields, and one more field that has a value."""
    parts = [word]
    for field in WORDS.load(*key_of(word)).declared.fields:
        if field.name == changed:
            parts.append(f"{field.word}={value}")
        elif field.required or (word.startswith("data ") and field.name in ("size", "images")):
            parts.append(f"{field.word}={samples(word, field, files)[0]}")
    return " ".join(parts)


def key_of(word: str) -> tuple[str, str | None]:
    verb, _, clause = word.partition(" ")
    return verb, clause or None


def over(company: str, text: str) -> str:
    """A statement among others, of which one with the same words, or the same choice to make, gives way."""
    trick = WORDS.load(*key_of(word_of(text))).declared
    kept = []
    for other in company.split("; "):
        declared = WORDS.load(*key_of(word_of(other))).declared
        same_slot = declared.verb == trick.verb and set(declared.writes) & set(trick.writes) & EXCLUSIVE.keys()
        if declared.word != trick.word and not same_slot:
            kept.append(other)
    return "; ".join([*kept, text])


def word_of(text: str) -> str:
    """The words of the trick that a statement names."""
    verb, *rest = text.split()
    return f"{verb} {rest[0]}" if rest and rest[0] in WORDS.clauses(verb) else verb
