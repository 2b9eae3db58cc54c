"""A damaged file of a run folder counts as missing, is told, and never stops a run for ever."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

import recipe
from recipe.base.errors import RecipeError
from recipe.base.sealed import write_sealed
from recipe.base.typed_json import Malformed
from recipe.runs import reader, weights
from recipe.runs.records import LINES, Environment, Summary
from recipe.training.reporting import Listener
from tests.docs.schemas import schema
from tests.training.helpers import train, weights_digest

SOUND = {"kind": "train", "step": 1, "epoch": 0.5, "loss": 1.0, "top1": 0.5, "lr": 0.1, "images_per_second": 9.0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> recipe.Run:
    return train(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def folder(whole: recipe.Run, tmp_path: Path) -> Path:
    """Return a copy of a finished run."""
    shutil.copytree(whole.folder, tmp_path / "run")
    return tmp_path / "run"


class Notes(Listener):
    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        "{}",
        "\0" * 100,
        json.dumps(SOUND | {"loss": "1"}),
        json.dumps(SOUND | {"top1": True}),
        json.dumps(SOUND | {"epoch": 10**400}),
        json.dumps(SOUND | {"kind": []}),
        json.dumps({name: value for name, value in SOUND.items() if name != "lr"}),
    ],
    ids=range(8),
)
def test_damaged_lines_of_metrics_are_counted_and_left_out(folder: Path, line: str) -> None:
    (folder / "summary.json").unlink()
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[2:], ""]))
    notes = Notes()
    run = train(folder, resume=True, listener=notes)
    assert f"1 line of {path} can't be read and will be left out" in notes.told
    assert len(run.metrics) == len(lines) - 1
    assert reader.read_metrics(folder).damaged == 0


def test_a_line_that_was_being_written_is_no_damage(tmp_path: Path) -> None:
    whole = json.dumps(SOUND)
    (tmp_path / "metrics.jsonl").write_text(f"{whole}\n{whole}\n{whole[:20]}")
    assert reader.read_metrics(tmp_path) == reader.Metrics([SOUND, SOUND])
    assert reader.measured(tmp_path, last=len(whole) + 25) == [SOUND]
    (tmp_path / "metrics.jsonl").write_text(f"{whole}\n{'x' * 200_000}\n{whole}\n")
    assert reader.read_metrics(tmp_path) == reader.Metrics([SOUND, SOUND], damaged=1)


@pytest.mark.parametrize(
    "change",
    [
        {"top1": True},
        {"top1": 1.5},
        {"training_images": -1},
        {"peak_memory_bytes": float("nan")},
        {"loss": "0.5"},
        {"loss": float("inf")},
        {"steps": 10**400},
        {"notes": {}},
        {"digest": None},
        {"micro": True},
        {"seconds": []},
    ],
)
def test_a_summary_out_of_its_range_is_no_result(folder: Path, change: dict[str, Any]) -> None:
    write_sealed(folder / "summary.json", reader.read_summary(folder) | change)
    with pytest.raises(Malformed, match=r"^(?!.*checksum)"):
        reader.read_summary(folder)
    assert reader.summary_of(folder) == {}


def test_a_summary_with_another_value_is_no_result(folder: Path) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps({**summary, "loss": summary["loss"] + 1}))
    with pytest.raises(Malformed, match="its checksum is wrong"):
        reader.read_summary(folder)
    assert reader.summary_of(folder) == {}


def test_a_summary_describes_all_that_a_run_writes(whole: recipe.Run) -> None:
    written = {*whole.summary}
    assert written <= {field.name for field in attrs.fields(Summary)}
    assert reader.read_summary(whole.folder) == whole.summary


def test_records_have_no_field_that_the_schemas_lack() -> None:
    lines = {part["properties"]["kind"]["const"]: part for part in schema("metrics")["oneOf"]}
    described = [(Summary, schema("summary")), (Environment, schema("environment"))]
    described += [(kind, lines[name]) for name, kind in LINES.items()]
    for kind, root in described:
        assert {field.name for field in attrs.fields(kind)} <= root["properties"].keys()
    assert LINES.keys() == lines.keys()


@pytest.mark.parametrize("name", ["summary.json", "metrics.jsonl", "environment.json", "checkpoints/step-000000006.pt"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder: Path, whole: recipe.Run, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert reader.lost_packages(folder) == []
    assert reader.measured(folder) == ([] if name == "metrics.jsonl" else whole.metrics)
    run = train(folder, resume=True)
    assert weights_digest(run.model) == weights_digest(whole.model)


def test_the_weights_of_a_run_are_those_that_its_summary_names(folder: Path) -> None:
    path = folder / weights.NAME
    content = path.read_bytes()
    assert weights.packed_weights(folder) == content
    damaged = bytearray(content)
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(Malformed, match=r"does not have the digest that summary\.json names"):
        weights.packed_weights(folder)


def test_weights_of_an_earlier_release_have_no_digest(folder: Path) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    del summary["weights_sha256"], summary["checksum"]
    path.write_text(json.dumps(summary))
    assert weights.unpacked(weights.packed_weights(folder))


def test_what_is_no_safetensors_file_is_told() -> None:
    for content in (b"", b"x" * 100, b"\xff" * 8):
        with pytest.raises(Malformed, match="is not a safetensors file"):
            weights.unpacked(content)


def test_a_folder_in_the_place_of_checkpoints_or_a_file_there_is_told(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").write_text("precious")
    (folder / "summary.json").unlink()
    with pytest.raises(RecipeError, match=r"E111.*is a link or a file instead of a folder"):
        train(folder, resume=True)
    assert (folder / "checkpoints").read_text() == "precious"
