"""A recipe that is trained again in a new folder, and a folder that already has a run: what to do with that run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import recipe
from recipe.base.caller import commanding
from recipe.base.errors import RecipeError
from recipe.plan.bind import resolve
from recipe.runs.earlier import note_on_earlier
from recipe.runs.exclusive import hold
from recipe.training import early_end
from recipe.training.reporting import Listener
from tests.helpers import command
from tests.training.helpers import TINY, train

ONE = f"{TINY}; epochs 1".replace("epochs 2; ", "")


@pytest.fixture(autouse=True)
def _at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_end, "LOOK_EVERY", 0.0)


class Told(Listener):
    def __init__(self, end_at: int = 0) -> None:
        self.notes, self.end_at, self.at = list[str](), end_at, 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        self.at = step

    def asks_to_finish(self) -> bool:
        return bool(self.end_at) and self.at >= self.end_at

    @property
    def earlier(self) -> list[str]:
        return [note for note in self.notes if "the same recipe" in note]


def test_a_recipe_that_is_trained_again_names_the_earlier_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = recipe.run(ONE, device="cpu", listener=(told := Told()))
    assert told.earlier == []
    recipe.run(ONE, device="cpu", listener=(told := Told()))
    opened = f'open it with `recipe.load("{first.folder}")`'
    assert told.earlier == [f"the run in `{first.folder}` has the same recipe and has finished: {opened}"]
    recipe.run(ONE, device="cpu", out="runs/named", listener=(told := Told()))
    recipe.run(ONE, "lr 0.02", device="cpu", listener=told)
    assert told.earlier == []
    done = command("run", ONE, "--device", "cpu", "--dry-run")
    told_there = re.search(
        "the run in `(.*)` has the same recipe and has finished: use it with `(.*)` or `(.*)`", done.stderr
    )
    assert told_there is not None
    assert told_there.groups() == ("runs/named", "recipe predict runs/named IMAGES", "recipe evaluate runs/named")


def test_the_note_says_how_the_earlier_run_ended(tmp_path: Path) -> None:
    plan, cut = resolve(ONE, data=True), tmp_path / "cut"
    run = train(cut, text=ONE, listener=Told(end_at=2))
    assert run.status == "ended early"
    assert f"`{cut}` has the same recipe and has ended early: open it with `recipe.load(" in note_on_earlier(
        tmp_path, plan
    )
    (cut / "summary.json").unlink()
    assert note_on_earlier(tmp_path, plan).endswith(f'was stopped: resume it with `recipe.run("{cut}", resume=True)`')
    with hold(cut):
        assert note_on_earlier(tmp_path, plan).endswith("has the same recipe and is still training")
    assert note_on_earlier(tmp_path, resolve(ONE, "seed 1", data=True)) == ""
    assert note_on_earlier(tmp_path / "none", plan) == ""


def test_a_folder_that_has_a_run_says_what_to_do_with_it(tmp_path: Path) -> None:
    def refused(folder: Path, *statements: str) -> tuple[str, str]:
        with pytest.raises(RecipeError) as caught:
            train(folder, *statements, text=ONE)
        (found,) = caught.value.diagnostics
        assert found.code == "E113"
        return found.message, found.help

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(whole, text=ONE)
    train(cut, text=ONE, listener=Told(end_at=2))
    opened, other = f'open it with `recipe.load("{whole}")`', "or choose another folder with `out=`"
    again = f"{opened}, add `resume=True` to get it from this call, {other}"
    assert refused(whole) == (f"`{whole}` already contains a finished run", again)
    assert refused(whole, "seed 1") == (
        f"`{whole}` already contains a finished run of another recipe",
        f"{opened}, {other}",
    )
    assert refused(cut) == (
        f"`{cut}` already contains a run that ended early",
        f'open it with `recipe.load("{cut}")`, resume it with `resume=True`, or choose another folder with `out=`',
    )
    with commanding():
        used = f"use it with `recipe predict {whole} IMAGES` or `recipe evaluate {whole}`"
        assert refused(whole)[1] == f"{used}, add --resume to keep it, or choose another folder with --out"
    (whole / "summary.json").unlink()
    assert refused(whole) == (
        f"`{whole}` already contains a run",
        "resume it with `resume=True`, or choose another folder with `out=`",
    )
