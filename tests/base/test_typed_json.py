"""JSON that is read back: what does not fit is told as `Malformed`, with a reason, whatever is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs.validators import ge, le

from recipe.base import files
from recipe.base.typed_json import Malformed, fitted, parsed, plain, read_json


@attrs.frozen
class Part:
    share: float = attrs.field(validator=[ge(0), le(1)])


@attrs.frozen
class Whole:
    count: int
    names: tuple[str, ...]
    parts: list[Part]
    by_name: Mapping[str, float]
    pair: tuple[float, int]
    maybe: int | None = None


GOOD: dict[str, Any] = {
    "count": 1,
    "names": ["a"],
    "parts": [{"share": 0.5}],
    "by_name": {"x": 1},
    "pair": [0.5, 2],
    "new": "a field of a later release",
}


def test_values_are_read_back_unchanged() -> None:
    whole = fitted(GOOD, Whole)
    assert whole == Whole(1, ("a",), [Part(0.5)], {"x": 1}, (0.5, 2))
    assert fitted(plain(whole) | {"names": ["a"], "pair": [0.5, 2]}, Whole) == whole


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"count": True}, "has a wrong `count`: it is not a whole number"),
        ({"count": 1.0}, "has a wrong `count`: it is not a whole number"),
        ({"count": "1"}, "has a wrong `count`: it is not a whole number"),
        ({"names": "ab"}, "has a wrong `names`: it is not a list"),
        ({"names": {"a": 1}}, "has a wrong `names`: it is not a list"),
        ({"names": [1]}, "has a wrong `names`: it is not a text"),
        ({"parts": [{}]}, "has no `parts.share`"),
        ({"parts": [[]]}, "has a wrong `parts`: it is not an object"),
        ({"parts": [{"share": 2}]}, "'share' must be <= 1: 2"),
        ({"by_name": []}, "has a wrong `by_name`: it is not an object"),
        ({"by_name": {"x": "1"}}, "has a wrong `by_name`: it is not a number"),
        ({"pair": [1]}, "has a wrong `pair`: it has 1 value instead of 2"),
        ({"maybe": "x"}, "has a wrong `maybe`: it is not a whole number or null"),
        ({"maybe": False}, "has a wrong `maybe`: it is not a whole number or null"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Malformed) as told:
        fitted(GOOD | change, Whole)
    assert reason in str(told.value)


@pytest.mark.parametrize("value", [[], 5, "a", None, True, [[]], {}, {"count": 1}])
def test_another_form_does_not_fit(value: Any) -> None:
    with pytest.raises(Malformed):
        fitted(value, Whole)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 200_000, "is nested too deeply"),
        (b'{"a":' * 200_000, "is nested too deeply"),
        (b"1" * 400, "has a number of 400 digits"),
        (b"1" * 10_000, "has a number of 10000 digits"),
        (b"1e999", "has a number that is not finite"),
        (b"NaN", "has a number that is not finite"),
        (b"[-Infinity]", "has a number that is not finite"),
        (b"\xff", "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\0" * 100, "is not JSON"),
    ],
)
def test_what_is_no_sound_json_is_told(content: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        parsed(content)


def test_deep_nesting_of_a_value_of_any_type_is_told() -> None:
    value: Any = []
    for _ in range(50_000):
        value = [value]
    with pytest.raises(Malformed, match="is nested too deeply"):
        fitted(value, Any)


def test_only_a_regular_file_of_a_sane_size_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b" " * 11)
    for name, reason in (("pipe", "not a regular file"), ("folder", "is a folder"), ("large", "larger than 10 bytes")):
        with pytest.raises(OSError, match=reason):
            read_json(tmp_path / name, Whole, most=10)
    with pytest.raises(OSError, match="not a regular file"):
        files.read("/dev/zero")
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "missing")
