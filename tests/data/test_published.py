"""Published datasets whose files are missing, damaged or hostile."""

from __future__ import annotations

import gzip
import os
import resource
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from recipe.base.errors import RecipeError
from recipe.data.images import Sets
from recipe.inference.datasets import open_sets
from recipe.plan.bind import resolve


def idx(values: np.ndarray, *shape: int, kind: int = 8) -> bytes:
    shape = shape or values.shape
    return struct.pack(f">4B{len(shape)}I", 0, 0, kind, len(shape), *shape) + values.tobytes()


PIXELS = np.zeros((20, 28, 28), np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(PIXELS)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path


def open_(folder: Path, name: str = "fashion-mnist") -> Sets:
    return open_sets(resolve(f'base resnet18; data {name} "{folder}"', data=True))


def refusal(folder: Path, name: str = "fashion-mnist") -> str:
    with pytest.raises(RecipeError) as error:
        open_(folder, name)
    (found,) = error.value.diagnostics
    assert found.code == "E070"
    return found.message


def test_sound_files_are_read(folder: Path) -> None:
    sets = open_(folder)
    assert (len(sets.train.labels), sets.classes) == (len(PIXELS), 10)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a valid IDX file"),
        (b"\0\0\x08", "not a valid IDX file"),
        (b"hunter2" * 9, "not a valid IDX file"),
        (idx(PIXELS, kind=13), "not a valid IDX file"),
        (idx(PIXELS, 20, 28), "not a valid IDX file"),
        (idx(PIXELS, 20, 14, 56), "not a valid IDX file"),
        (idx(PIXELS, 2**32 - 1, 2**32 - 1, 2**32 - 1), "not a valid IDX file"),
        (idx(PIXELS, 2**32 - 1, 28, 28), "not a valid IDX file"),
        (idx(PIXELS, 21, 28, 28), "fewer values than its header says"),
        (idx(PIXELS)[:-1], "fewer values than its header says"),
        (idx(PIXELS, 19, 28, 28), "more values than its header says"),
        (idx(PIXELS[:19]), "the numbers of images and labels for `train`"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_idx_file_is_named(folder: Path, content: bytes, said: str, packed: bool) -> None:
    path = folder / f"train-images-idx3-ubyte{'.gz' * packed}"
    (folder / "train-images-idx3-ubyte.gz").unlink()
    path.write_bytes(gzip.compress(content) if packed else content)
    why = refusal(folder)
    assert said in why
    assert str(folder) in why


@pytest.mark.parametrize("at", [0, 1, 5, 12, 30, -12, -5, -1])
def test_a_damaged_compressed_file_is_named(folder: Path, at: int) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    noise = np.random.default_rng(0).integers(0, 256, PIXELS.shape, dtype=np.uint8)
    whole = gzip.compress(idx(noise))
    path.write_bytes(whole[:at])
    assert str(folder) in refusal(folder)
    data = bytearray(whole)
    data[at] ^= 0xFF
    path.write_bytes(data)
    if at != 5:  # a time stamp
        assert str(folder) in refusal(folder)


def test_the_content_of_a_file_is_not_quoted(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"hunter2")  # gzip quotes the beginning in its error
    assert "hu" not in refusal(folder).replace(str(folder), "")


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(folder: Path) -> None:
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(idx(PIXELS))
        for _ in range(300):
            file.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "more values than its header says" in refusal(folder)
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize("label", [10, 200])
def test_a_label_that_is_no_class_is_named(folder: Path, label: int) -> None:
    labels = LABELS.copy()
    labels[7] = label
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    said = f"`data fashion-mnist`: the label {label} of the held-out image 7 is not a class from 0 to 9"
    assert refusal(folder) == said


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes with names")
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte.gz").unlink()
    os.mkfifo(folder / "train-images-idx3-ubyte")
    assert "neither" in refusal(folder)
    (folder / "cifar-10-batches-py").mkdir()
    os.mkfifo(folder / "cifar-10-batches-py" / "data_batch_1")
    assert "is missing or does not contain the files" in refusal(folder, "cifar10")


def test_damaged_files_of_cifar10_are_not_unpickled(folder: Path) -> None:
    batches = folder / "cifar-10-batches-py"
    batches.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"):
        (batches / name).write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    assert "is missing or does not contain the files" in refusal(folder, "cifar10")
    assert not Path("pwned").exists()
