"""A run keeps the environment that it started in, and reports what has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from recipe.base.sealed import write_sealed
from recipe.runs.environment import differences
from recipe.runs.reader import environment_of
from recipe.runs.records import Environment, Plugin
from tests.helpers import command
from tests.training.helpers import TINY, train

PLUGIN = '''"""data pairs"""
import torch
from recipe.api import InMemory, Sets, Trick, integer, trick

@trick("data pairs", writes=("data",))
class Pairs(Trick):
    """Two gray shades."""

    size: int = integer(32, "size")
    workers: int = integer(0, "processes", result=False)

    def open(self):
        labels = torch.arange(24) % 2
        pixels = (ORDER * 90).byte()[:, None, None, None].expand(-1, 3, 32, 32).contiguous()
        return Sets(InMemory(pixels, labels), InMemory(pixels, labels), 2)

    def count_classes(self):
        return 2
'''


def before(**changes: object) -> Environment:
    values = {
        "python": "3.11.7",
        "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
        "device": "cpu",
        "device_name": "x86_64",
        "threads": 4,
        "precision": "fp32",
        "plugins": [Plugin(name="a.py", tricks={"data pairs": "0" * 16})],
    }
    return Environment(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"cores": 8, "platform": "other"}, []),
        ({"packages": {"torch": "2.14.1"}}, ["numpy none instead of 2.4.6", "torch 2.14.1 instead of 2.13.0"]),
        ({"threads": 2}, ["2 CPU threads instead of 4 CPU threads"]),
        ({"precision": "bf16"}, ["precision bf16 instead of precision fp32"]),
        ({"device": "cuda:0"}, ["device cuda:0 instead of cpu"]),
        ({"plugins": []}, []),
        (
            {"plugins": [Plugin(name="a.py", tricks={"data pairs": "1" * 16})]},
            ["`data pairs` of a.py, whose code has changed"],
        ),
        (
            {"plugins": [Plugin(name="b.py", tricks={"data pairs": "1" * 16})]},
            ["`data pairs` from b.py instead of a.py"],
        ),
    ],
)
def test_what_can_change_a_result_is_reported(changes: dict[str, object], said: list[str]) -> None:
    assert differences(before(), before(**changes)) == said


def test_a_run_that_resumes_elsewhere_says_so_and_keeps_its_first_environment(tmp_path: Path) -> None:
    folder = train(tmp_path / "run", "epochs 1").folder
    file = folder / "environment.json"
    first = json.loads(file.read_text())
    first["packages"]["torch"], first["threads"] = "2.11.0", 99
    del first["checksum"]
    write_sealed(file, first)
    started = file.read_bytes()
    again = train(folder, "epochs 2", resume=True, allow_changed=True)
    (note,) = [note for note in again.summary["notes"] if "environment" in note]
    assert note.startswith("resumed in another environment, so the last bits may differ: torch ")
    assert f"{torch.get_num_threads()} CPU threads instead of 99 CPU threads" in note
    assert (folder / "environment-until-000000003.json").read_bytes() == started
    assert json.loads(file.read_text())["threads"] == torch.get_num_threads()


def test_diff_reports_the_environments_of_two_runs(tmp_path: Path) -> None:
    for name in "ab":
        train(tmp_path / name, "epochs 1")
    assert "environment" not in command("diff", tmp_path / "a", tmp_path / "b").stderr
    file = tmp_path / "a" / "environment.json"
    first = {key: value for key, value in json.loads(file.read_text()).items() if key != "checksum"}
    write_sealed(file, {**first, "threads": 99})
    done = command("diff", tmp_path / "a", tmp_path / "b")
    assert done.status == 0
    assert "note: the second run was made in another environment: " in done.stderr
    assert "CPU threads instead of 99 CPU threads" in done.stderr


def test_a_run_names_its_plugins_and_other_code_of_them_is_reported(tmp_path: Path) -> None:
    for name, order in (("mine", "labels"), ("other", "1 - labels")):
        (tmp_path / f"{name}.py").write_text(PLUGIN.replace("ORDER", f"({order})"))
    text = f"{TINY.replace('data fake size=32 classes=10 images=24', 'data pairs')}; epochs 1"
    text = text.replace("epochs 2; ", "")
    done = command("run", text, "--plugin", tmp_path / "mine.py", "--out", tmp_path / "run", "--device", "cpu")
    assert done.status == 0, done.stderr
    known = environment_of(tmp_path / "run")
    assert known is not None
    (plugin,) = known.plugins
    assert (plugin.name, [*plugin.tricks]) == (str(tmp_path / "mine.py"), ["data pairs"])
    same = command("explain", tmp_path / "run", "--plugin", tmp_path / "mine.py")
    assert (same.status, same.stderr) == (0, "")
    for name in ("run", "explain"):
        options = ("--dry-run",) if name == "run" else ()
        other = command(name, tmp_path / "run" / "recipe.lock", "--plugin", tmp_path / "other.py", *options)
        assert other.status == 0
        assert "warning: this differs from the run in `run`: `data pairs` from " in other.stderr


def test_an_edited_lock_is_reported_wherever_it_is_a_recipe(tmp_path: Path) -> None:
    lock = train(tmp_path / "run", "epochs 1").folder / "recipe.lock"
    lock.write_text(lock.read_text().replace("lr rate=0.01", "lr rate=0.02"))
    for words in (("run", tmp_path / "run", "--dry-run"), ("explain", tmp_path / "run"), ("diff", lock, "full")):
        done = command(*words)
        assert done.status == 0, done.stderr
        assert "warning: this differs from the run in `run`: recipe.lock has been edited\n" in done.stderr
