"""Broken images are named together before a training, from their headers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import recipe
from recipe.base.errors import RecipeError
from recipe.data.images import Files
from recipe.inference.datasets import open_sets
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.training.broken_images import Look, look_for_broken
from recipe.training.engine import dry
from recipe.training.reporting import Listener
from recipe.training.request import Request
from tests.helpers import command

TEXT = 'base timm:test_efficientnet; data folder "{}" size=32 workers=0 {}; batch 2; epochs 1; lr 1e-3'


class Told(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(4):
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.jpg")
    return tmp_path


def spoil(photos: Path, *names: str, content: bytes = b"") -> None:
    for name in names:
        (photos / name).write_bytes(content)


def plan_of(photos: Path, words: str = "") -> Plan:
    return resolve(TEXT.format(photos, words), data=True)


def test_all_parts_are_looked_at_before_training(photos: Path, tmp_path: Path) -> None:
    spoil(photos, "train/cat/0.jpg", "train/cat/3.jpg")
    spoil(photos, "val/dog/1.jpg", content=b"no image")
    with pytest.raises(RecipeError) as caught:
        recipe.run(TEXT.format(photos, ""), out=tmp_path / "run", device="cpu")
    (found,) = caught.value.diagnostics
    assert found.code == "E070"
    assert found.message.startswith(
        f"3 of 16 images can't be read: `{photos}/train/cat/0.jpg`, `{photos}/train/cat/3.jpg`: the file is empty; "
        f"`{photos}/val/dog/1.jpg`: its content is damaged, or in none of the formats "
    )
    assert found.help == "repair or remove them, or skip them with `on-error=skip` in `data folder`"
    assert found.span is not None
    assert found.span.text == f'"{photos}"'
    assert not (tmp_path / "run").exists()


def test_a_dry_run_looks_too_and_names_five(photos: Path) -> None:
    spoil(photos, *(f"train/{name}/{number}.jpg" for name in ("cat", "dog") for number in range(1, 4)))
    done = command("run", TEXT.format(photos, ""), "--dry-run")
    assert done.status == 2
    assert "6 of 16 images can't be read" in done.stderr
    assert "; and 1 more" in done.stderr
    assert "train/dog/3.jpg" not in done.stderr


def test_skipped_images_are_a_note(photos: Path, tmp_path: Path) -> None:
    spoil(photos, "train/cat/0.jpg", "train/cat/1.jpg")
    told = Told()
    run = recipe.run(TEXT.format(photos, "on-error=skip"), out=tmp_path / "run", device="cpu", listener=told)
    note = f"2 of 16 images can't be read and are skipped: `{photos}/train/cat/0.jpg`, "
    assert [one for one in told.notes if one.startswith(note)]
    assert run.summary["skipped"] == {"training": 2, "evaluation": 0}
    assert any(one.startswith(note) for one in json.loads((run.folder / "summary.json").read_text())["notes"])
    told = Told()
    dry(Request(plan=plan_of(photos, "on-error=skip"), device="cpu", listener=told))
    assert [one for one in told.notes if one.startswith(note)]


def test_each_skipped_image_is_named_once(photos: Path, tmp_path: Path) -> None:
    spoil(photos, *(f"train/{name}/{number}.jpg" for name in ("cat", "dog") for number in range(1, 4)))
    (photos / "val/cat/0.jpg").write_bytes((photos / "val/cat/0.jpg").read_bytes()[:-400])  # its header is fine
    told = Told()
    text = TEXT.format(photos, "on-error=skip")
    run = recipe.run(text, "epochs 2", out=tmp_path / "run", device="cpu", listener=told)
    assert run.summary["skipped"] == {"training": 6, "evaluation": 1}
    paths = re.findall(r"`(\S+\.jpg)`", "\n".join(told.notes))
    assert len(paths) == len({*paths}) == 7
    assert len([line for line in run.metrics if line["kind"] == "skipped"]) == 7


def test_the_look_ends_in_time_and_says_so(photos: Path) -> None:
    plan = plan_of(photos)
    sets = open_sets(plan)
    assert look_for_broken(plan, sets) == Look()
    (note,) = look_for_broken(plan, sets, -1).notes
    assert note == "the headers of 0 of 16 images were looked at, in -1 s: none of these is broken"


def test_an_image_that_is_only_found_while_training_has_help(photos: Path, tmp_path: Path) -> None:
    for name in ("train/cat/0.jpg", "val/cat/0.jpg"):
        (photos / name).write_bytes((photos / name).read_bytes()[:-400])
        with pytest.raises(
            RecipeError, match=rf"E070.*{name}(?s:.*)or skip them with `on-error=skip` in `data folder`"
        ):
            recipe.run(TEXT.format(photos, ""), out=tmp_path / name.replace("/", "-"), device="cpu")
        Image.new("RGB", (40, 40)).save(photos / name)


def test_images_in_memory_have_no_headers() -> None:
    plan = resolve("base resnet18; data digits")
    sets = open_sets(plan)
    assert not isinstance(sets.train, Files)
    assert look_for_broken(plan, sets) == Look()
