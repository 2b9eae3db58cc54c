"""Requests to end a training early."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recipe.runs import exclusive, requests
from recipe.runs.requests import NAME, ask, drop_stale, is_asked, withdraw


@contextlib.contextmanager
def training(folder: Path, tell: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """A context in which this process trains in a folder."""
    with contextlib.ExitStack() as held:
        held.callback(withdraw, folder)
        held.enter_context(exclusive.hold(folder))
        drop_stale(folder, tell)
        yield


def test_only_a_process_that_trains_there_can_be_asked(tmp_path: Path) -> None:
    assert ask(tmp_path) == ""
    assert not (tmp_path / NAME).exists()
    with exclusive.hold(tmp_path):
        assert not is_asked(tmp_path)
        assert ask(tmp_path) == exclusive.this_process()
        assert is_asked(tmp_path)


def test_no_request_outlives_a_training(tmp_path: Path) -> None:
    told = list[str]()
    with training(tmp_path, told.append):
        ask(tmp_path)
    assert not (tmp_path / NAME).exists()
    (tmp_path / NAME).write_text(exclusive.this_process())
    with training(tmp_path, told.append):
        assert not is_asked(tmp_path), "another process had the same number"
    assert told == ["`recipe finish` was meant for an earlier process of this run, so it has no effect on this one"]


def test_a_request_that_comes_as_the_training_ends_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["process 1 on x", ""])
    monkeypatch.setattr(exclusive, "user_of", lambda folder: next(answers))
    assert ask(tmp_path) == ""
    assert not (tmp_path / NAME).exists()


def test_asking_does_not_release_the_lock(tmp_path: Path) -> None:
    with exclusive.hold(tmp_path):
        ask(tmp_path)
        child = os.fork()
        if child == 0:
            exclusive._held.clear()
            os._exit(bool(exclusive.user_of(tmp_path)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.parametrize("what", ["folder", "pipe", "link"])
def test_what_is_not_a_request_is_left_alone(what: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    if what == "folder":
        (tmp_path / NAME).mkdir()
    elif what == "pipe":
        os.mkfifo(tmp_path / NAME)
    else:
        (tmp_path / NAME).symlink_to(elsewhere)
    with training(tmp_path):
        assert not is_asked(tmp_path)
    assert os.path.lexists(tmp_path / NAME)
    assert elsewhere.read_text() == "precious"


def test_a_folder_that_was_replaced_keeps_its_request(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with training(folder):
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        (folder / NAME).write_text("of another run")
    assert (folder / NAME).read_text() == "of another run"
    assert requests.NAME == ".finish"
