"""`evaluation.npz`: the logits of each held-out image, written with the summary, and read back only if sound."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import recipe
from recipe.base.errors import RecipeError
from recipe.base.sealed import write_sealed
from recipe.runs.held_out import HeldOut, read_held_out, relative_paths, write_held_out
from recipe.runs.reader import read_summary
from tests.durability.photos import with_broken_images
from tests.durability.trials import small
from tests.helpers import ROOT
from tests.training.helpers import train


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> recipe.Run:
    return train(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def folder(whole: recipe.Run, tmp_path: Path) -> Path:
    shutil.copytree(whole.folder, tmp_path / "run")
    return tmp_path / "run"


def made(path: tuple[str, ...] | None = None) -> HeldOut:
    return HeldOut(np.arange(3), np.array([2, 0, 1]), np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), path)


def test_the_logits_are_those_of_the_summary(whole: recipe.Run) -> None:
    held_out = read_held_out(whole.folder)
    assert held_out.logits.dtype == np.float32
    assert held_out.index.tolist() == list(range(len(held_out.label)))
    assert held_out.path is None
    right = held_out.logits.argmax(1) == held_out.label
    assert right.mean() == pytest.approx(whole.summary["top1"])
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(held_out.logits), torch.from_numpy(held_out.label))
    assert float(loss) == pytest.approx(whole.summary["loss"], rel=1e-5)


def test_images_in_files_have_their_paths_and_skipped_ones_are_left_out(tmp_path: Path) -> None:
    photos = with_broken_images(tmp_path / "photos")
    data = f'data folder "{photos}" size=32 workers=0 on-error=skip'
    program = recipe.compile(f"{data}; batch 4; epochs 1; lr 0.05", base=small(2))
    held_out = read_held_out(recipe.run(program, out=tmp_path / "run", device="cpu").folder)
    assert held_out.path is not None
    assert 3 not in held_out.index.tolist(), "the image that can't be decoded"
    assert len(held_out.path) == len(held_out.index) == len(held_out.label) == len(held_out.logits)
    files = sorted((photos / "val").glob("*/*"))
    assert [*held_out.path] == [files[at].relative_to(photos).as_posix() for at in held_out.index.tolist()]


@pytest.mark.parametrize("path", [None, ("a/b.jpg", "ü\udcff.png", "")])
def test_what_is_written_is_read_back(folder: Path, path: tuple[str, ...] | None) -> None:
    digest = write_held_out(folder, made(path))
    write_sealed(folder / "summary.json", read_summary(folder) | {"evaluation_sha256": digest})
    found = read_held_out(folder)
    for name in ("index", "label", "logits"):
        assert np.array_equal(getattr(found, name), getattr(made(), name))
    assert found.path == path
    assert write_held_out(folder, made(path)) == digest, "the same bytes for the same values"


def test_paths_are_relative_to_the_data_or_else_to_their_common_folder() -> None:
    paths = (Path("/data/val/cat/1.jpg"), Path("/data/val/dog/2.jpg"))
    assert relative_paths(paths, "/data") == ("val/cat/1.jpg", "val/dog/2.jpg")
    assert relative_paths(paths, "/data/train", "/data") == ("val/cat/1.jpg", "val/dog/2.jpg")
    assert relative_paths(paths) == relative_paths(paths, "/other") == ("cat/1.jpg", "dog/2.jpg")
    assert relative_paths(paths[:1], "/data/train", "/data/val") == ("cat/1.jpg",), "as with images of other classes"


def refused(folder: Path, why: str) -> None:
    with pytest.raises(RecipeError, match=f"E120.*{why}"):
        read_held_out(folder)


def test_a_damaged_file_is_refused(folder: Path) -> None:
    path = folder / "evaluation.npz"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused(folder, r"evaluation.npz` does not have the digest that `summary.json` names")
    path.unlink()
    refused(folder, r"evaluation.npz` can't be read: no such file or directory")
    path.mkdir()
    refused(folder, r"evaluation.npz` can't be read: is a directory|is a folder")


def test_a_file_with_other_contents_is_refused_even_if_the_summary_names_it(folder: Path) -> None:
    import hashlib

    contents = {
        b"no archive": "is not the evaluation of a run",
        _npz(index=np.arange(2), label=np.arange(2)): "is not the evaluation of a run",
        _npz(index=np.arange(2), label=np.arange(3), logits=np.zeros((2, 2), np.float32)): "do not fit together",
        _npz(index=np.arange(2), label=np.arange(2), logits=np.zeros((2, 2))): "do not fit together",
        _npz(
            index=np.array([{}, {}]), label=np.arange(2), logits=np.zeros((2, 2), np.float32)
        ): "is not the evaluation",
    }
    for content, why in contents.items():
        (folder / "evaluation.npz").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        write_sealed(folder / "summary.json", read_summary(folder) | {"evaluation_sha256": digest})
        refused(folder, why)


def _npz(**arrays: np.ndarray) -> bytes:
    import io

    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def test_a_run_without_the_file_says_so(folder: Path, tmp_path: Path) -> None:
    (old,) = [path for path in (ROOT / "tests" / "goldens" / "runs").glob("*") if path.name == "plan-v1"]
    assert read_summary(old)["top1"] >= 0, "a summary of an earlier release still opens"
    refused(old, "did not record its evaluation")
    (folder / "summary.json").unlink()
    refused(folder, r"has no finished run: `summary.json` can't be read: no such file")
