"""A run writes only to the folder that it locked, and follows no link there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recipe.base.errors import RecipeError
from recipe.runs import checkpoints
from recipe.runs.exclusive import check, hold, user_of
from recipe.training.reporting import Listener
from tests.helpers import command
from tests.training.helpers import TINY, train, weights_digest

TAKEN: dict[str, Callable[[Path], object]] = {
    "removed": shutil.rmtree,
    "moved": lambda folder: folder.rename(folder.with_name("moved")),
    "replaced": lambda folder: (folder.rename(folder.with_name("moved")), folder.mkdir()),
    "replaced by a copy": lambda folder: (
        folder.rename(folder.with_name("moved")),
        shutil.copytree(folder.with_name("moved"), folder),
    ),
    "without its lock": lambda folder: (folder / ".lock").unlink(),
    "with another lock": lambda folder: ((folder / ".lock").unlink(), (folder / ".lock").touch()),
}


class Take(Listener):
    """Does something to the run folder at a step."""

    def __init__(self, step: int, folder: Path, take: Callable[[Path], object]) -> None:
        self.at, self.folder, self.take = step, folder, take

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        if step == self.at:
            self.take(self.folder)


@pytest.mark.parametrize(("how", "step"), [*((how, 1) for how in TAKEN), ("removed", 6), ("replaced", 6)])
def test_a_run_whose_folder_is_taken_stops_with_an_error(tmp_path: Path, how: str, step: int) -> None:
    folder = tmp_path / "run"
    with pytest.raises(RecipeError, match=r"E111.*was removed or replaced during the training"):
        train(folder, listener=Take(step, folder, TAKEN[how]))
    assert not (folder / "summary.json").exists()
    assert not (folder / "model.safetensors").exists()


def test_a_run_resumes_where_its_folder_was_moved_to(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(RecipeError, match="E111"):
        train(folder, listener=Take(4, folder, TAKEN["moved"]))
    resumed = train(tmp_path / "moved", resume=True)
    assert weights_digest(resumed.model) == weights_digest(train(tmp_path / "whole").model)


def test_the_folder_of_this_process_is_told_from_others(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with hold(tmp_path):
        check(tmp_path)
        for same in (tmp_path, tmp_path / "link"):
            with pytest.raises(RecipeError, match=r"E116.*this process"), hold(same):
                pass
        assert (tmp_path / ".lock").read_text() == f"process {os.getpid()} on {os.uname().nodename}"
    assert (tmp_path / ".lock").read_text() == ""
    check(tmp_path)


def test_a_lock_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "run"
    victim.write_text("precious")
    folder.mkdir()
    (folder / ".lock").symlink_to(victim)
    with pytest.raises(RecipeError, match=r"E111.*\.lock` can't be written: is a symbolic link"), hold(folder):
        pass
    assert victim.read_text() == "precious"
    (folder / ".lock").unlink()
    os.mkfifo(folder / ".lock")
    assert user_of(folder) == ""
    with pytest.raises(RecipeError, match=r"E111.*\.lock` can't be written: not a regular file"), hold(folder):
        pass


def test_a_lock_file_with_the_text_of_others_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("precious")
    with hold(tmp_path):
        assert (tmp_path / ".lock").read_text() == "precious"
    assert (tmp_path / ".lock").read_text() == "precious"


@pytest.mark.parametrize("resume", [True, False])
def test_checkpoints_that_are_a_link_are_neither_written_nor_pruned(tmp_path: Path, resume: bool) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    victim.mkdir()
    for number in range(4):
        (victim / f"step-{number:09d}.pt").write_text("precious")
    folder.mkdir()
    (folder / "checkpoints").symlink_to(victim)
    with pytest.raises(RecipeError, match=r"E11[13]"):
        train(folder, resume=resume)
    assert [path.read_text() for path in victim.iterdir()] == ["precious"] * 4


def test_only_checkpoints_are_pruned(tmp_path: Path) -> None:
    folder, others = (
        tmp_path / "run" / "checkpoints",
        ("step-1.pt", "step-best.pt", "notes.txt", ".step-000000001.pt.x"),
    )
    folder.mkdir(parents=True)
    for name in others:
        (folder / name).write_text("precious")
    (folder / "step-000000001.pt").symlink_to(folder / "notes.txt")
    (folder / ".step-000000001.pt.0123abcd").write_text("half")
    train(tmp_path / "run", resume=True, checkpoints=1)
    kept = {*others, "step-000000006.pt"}
    assert kept <= {path.name for path in folder.iterdir()}
    assert not (folder / ".step-000000001.pt.0123abcd").exists()
    assert [(folder / name).read_text() for name in others] == ["precious"] * 4
    checkpoints.clear(folder)
    assert {*others} <= {path.name for path in folder.iterdir()}


def test_metrics_that_are_a_link_are_not_appended_to(tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "run"
    victim.write_text("precious")
    with pytest.raises(RecipeError, match="E111"):
        train(folder, listener=Take(4, folder, TAKEN["without its lock"]))
    (folder / "metrics.jsonl").unlink()
    (folder / "metrics.jsonl").symlink_to(victim)
    train(folder, resume=True)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_with_files_of_others_is_refused_and_left_alone(tmp_path: Path, resume: bool) -> None:
    photos = tmp_path / "photos"
    (photos / "cats").mkdir(parents=True)
    for name in ("cats/1.jpg", ".DS_Store"):
        (photos / name).write_text("precious")
    before = sorted(photos.rglob("*"))
    with pytest.raises(RecipeError) as caught:
        train(photos, "epochs 1", resume=resume)
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == ("E113", f"`{photos}` already contains other files, such as `cats`")
    assert found.help == "choose another folder with `out=`"
    assert sorted(photos.rglob("*")) == before


def test_a_dry_run_refuses_a_folder_with_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_text("precious")
    done = command("run", TINY, "--device", "cpu", "--dry-run", "--out", tmp_path)
    assert done.status == 2
    assert "other files, such as `cat.jpg`" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cat.jpg"]


def test_a_run_starts_in_an_empty_folder_and_resumes_beside_files_of_others(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".DS_Store").touch()
    with pytest.raises(RecipeError, match="E111"):
        train(folder, listener=Take(4, folder, TAKEN["without its lock"]))
    for name in ("notes.txt", "events.out.tfevents.1"):
        (folder / name).write_text("mine")
    resumed = train(folder, resume=True)
    assert weights_digest(resumed.model) == weights_digest(train(tmp_path / "whole").model)
    assert (folder / "notes.txt").read_text() == "mine"
