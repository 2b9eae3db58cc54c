"""Hostile and damaged files of weights: nothing in them is run, and each is an error that names the file."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recipe.compiler.state_dict import AVERAGES, NAMES
from tests.compiler.test_anyones_weights import assert_loaded, compiled, refused, saved, state


class _Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_in_a_pickle_is_run(legacy: bool, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    calls = [
        _Calls(os.system, f"touch {touched}"),
        _Calls(exec, f"open({str(touched)!r}, 'w')"),
        _Calls(Path.touch, touched),
        _Calls(getattr, _Calls(__import__, "os"), "system"),
    ]
    path = saved({"model": state(), "args": calls}, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    assert_loaded(compiled(path), state())
    path = saved(calls[0], tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    assert "object, not a state dict" in refused(path, code="E001")
    assert not touched.exists()


def _archive(pickled: bytes, size: int = 8, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("w/data.pkl", pickled)
        archive.writestr("w/data/0", bytes(size))
    return file.getvalue()


def _tensor(length: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """Return the pickle of a state dict with one tensor, of a storage that claims a length."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", length) if thing is storage else None

    storage, file = object(), io.BytesIO()
    Pickler(file, 2).dump({"a": _Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})})
    return file.getvalue()


HOSTILE = {
    "nested tuples as a key": b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns.",
    "nested tuples in a set": b"\x80\x04\x8f(" + b")" + b"\x85" * 200_000 + b"\x90.",
    "a memo of any length": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a string of any length": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "bytes of any length": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
    "more classes than any model has": b"\x80\x02}" + b"".join(b"cm\nC%d\n0" % i for i in range(10_001)) + b".",
    "more dictionaries than any model has": b"\x80\x02]" + b"}0" * 2_000_001 + b".",
    "more lists than any model has": b"\x80\x02}" + b"]0" * 2_000_001 + b".",
    "more calls than any model has": b"\x80\x02}cm\nC\n" + b")R" * 2_000_001 + b"0.",
    "an extension": b"\x80\x02\x82\x01.",
    "an end too early": b"\x80\x02}",
    "a stack that is empty": b"\x80\x02.",
    "an unknown opcode": b"\x80\x02\xff.",
    "a call of what is no function": b"\x80\x02K\x01)R.",
    "a state of what has none": b"\x80\x02K\x01}b.",
    "a tensor beyond its storage": _tensor(2, 1, (2,), (1,)),
    "a tensor of a negative size": _tensor(2, 0, (-1,), (1,)),
    "a tensor of a large stride": _tensor(2, 0, (2, 2), (1 << 59, 1)),
    "a storage beyond its values": _tensor(1 << 40, 0, (1 << 40,), (1,)),
    "a tensor of many dimensions": _tensor(2, 0, (1,) * 100, (1,) * 100),
}


def test_a_checkpoint_that_contains_itself(tmp_path: Path) -> None:
    """Each object is looked at once, so that a hundred names for it take no longer than one."""
    inner: dict[str, Any] = {"model": {}, "epoch": 3}
    names = (*AVERAGES, *NAMES)
    outer: dict[str, Any] = {name: dict.fromkeys(names, inner) for name in names}
    outer["self"] = inner["state_dict"] = outer
    assert "contains no tensors by name" in refused(saved(outer, tmp_path / "w.pth"), code="E001")
    inner["model"] = state()
    assert_loaded(compiled(saved(outer, tmp_path / "w.pth")), state())


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_pickle_is_an_error(what: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(_archive(HOSTILE[what]))
    assert "w.pth`" in refused(tmp_path / "w.pth", "least=0", "E102" if "beyond its values" in what else "E001")


def test_an_archive_that_expands_is_an_error(tmp_path: Path) -> None:
    pickled = _tensor(1 << 20, 0, (1 << 20,), (1,))
    (tmp_path / "w.pth").write_bytes(_archive(pickled, 1 << 22, zipfile.ZIP_DEFLATED))
    assert (tmp_path / "w.pth").stat().st_size < 1 << 16
    assert "w.pth` is damaged, or not a file of weights" in refused(tmp_path / "w.pth", code="E001")


@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files_are_errors(legacy: bool, tmp_path: Path) -> None:
    sound = saved({"model": state()}, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy).read_bytes()
    lengths = [0, 1, 3, 4, 8, 9, 64, 1000, len(sound) // 2, len(sound) - 100, len(sound) - 1]
    damaged = [sound[:length] for length in lengths]
    generator = np.random.default_rng(0)
    damaged += [generator.bytes(length) for length in (10, 1000)]
    damaged += [sound[:head] + generator.bytes(1000) for head in (2, 4, 20, 100)]
    for content in damaged:
        (tmp_path / "w.pth").write_bytes(content)
        assert "w.pth` is " in refused(tmp_path / "w.pth", code="E001")


def test_a_changed_byte_of_the_values_is_an_error(tmp_path: Path) -> None:
    path = saved(state(), tmp_path / "w.pth")
    content = bytearray(path.read_bytes())
    at = bytes(content).index(state()["fc.weight"].numpy().tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert "w.pth` is damaged" in refused(path, code="E001")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a placeholder of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (pickle.dumps({"a": 1}), "is a pickle that `torch.save` did not write"),
        (_archive(b"").replace(b"data.pkl", b"data.txt"), "is a zip archive that `torch.save` did not write"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is damaged, or not a file of weights"),
    ],
    ids=range(5),
)
def test_other_files_are_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    assert said in refused(tmp_path / "w.pth", code="E001")
