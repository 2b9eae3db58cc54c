"""Images that can't be decoded end the run, or are named, counted and skipped in the same way everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import recipe
from recipe.base.errors import RecipeError
from recipe.inference.batches import load
from recipe.inference.datasets import open_sets
from recipe.language.recipe_input import source_from
from recipe.plan.bind import bind
from recipe.plugins.settings import Training
from recipe.training.loading import Steps
from recipe.training.reporting import Listener
from tests.durability.photos import BROKEN, with_broken_images
from tests.durability.trials import Cut, outcome, small
from tests.training.helpers import weights_digest

TEXT = "batch 4; epochs 2; lr 0.05; augment crop flip"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_broken_images(tmp_path_factory.mktemp("photos"))


class Told(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def train(folder: Path, out: Path, workers: int = 0, on_error: str = "skip", **options: object) -> recipe.Run:
    data = f'data folder "{folder}" size=32 workers={workers} on-error={on_error}'
    return recipe.run(recipe.compile(f"{data}; {TEXT}", base=small(2)), out=out, device="cpu", **options)  # type: ignore[arg-type]


def test_a_broken_image_is_named_and_ends_the_run(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"E070.*(cat/1|cat/4|dog/0)\.jpg"):
        train(folder, tmp_path / "run", on_error="fail")


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_images_are_named_once_and_counted(tmp_path: Path, folder: Path, workers: int) -> None:
    told = Told()
    run = train(folder, tmp_path / "run", workers, listener=told)
    assert run.summary["skipped"] == {"training": 3, "evaluation": 1}
    for file in BROKEN:
        assert sum(note.count(f"{file}`") for note in told.notes) == 1
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    skipped = sorted((line["part"], line["image"]) for line in lines if line["kind"] == "skipped")
    assert skipped == [("evaluation", 3), ("training", 1), ("training", 4), ("training", 6)]


def test_skipping_is_the_same_with_workers_and_after_an_interruption(tmp_path: Path, folder: Path) -> None:
    runs = [train(folder, tmp_path / str(workers), workers) for workers in (0, 2)]
    whole = outcome(runs[1].folder)
    assert weights_digest(runs[0].model) == weights_digest(runs[1].model)
    with pytest.raises(recipe.Interrupted):
        train(folder, tmp_path / "cut", 2, listener=Cut("second epoch"))
    assert outcome(train(folder, tmp_path / "cut", 2, resume=True).folder) == whole


def test_batches_are_the_same_however_they_are_shared_out(folder: Path) -> None:
    plan = bind([source_from(f'base resnet18; data folder "{folder}" size=32 on-error=skip')], data=True)
    images, training = open_sets(plan).train, Training(batch=6, seed=1)
    shared = [
        [list(load(Steps(images, training, None, True, rank, world), range(4), 0, False)) for rank in range(world)]
        for world in (1, 3)
    ]
    for step in range(4):
        one, three = ([part[step] for part in parts] for parts in shared)
        whole, shares = torch.cat([part.images for part in one]), torch.cat([part.images for part in three])
        assert torch.equal(whole, shares)
        assert len(whole) == 6
        assert not {1, 4, 6} & {int(index) for part in one for index in part.indices}


def test_a_batch_of_broken_images_is_replaced_by_others_of_its_epoch(folder: Path) -> None:
    plan = bind([source_from(f'base resnet18; data folder "{folder}" size=32 on-error=skip')], data=True)
    images, order = open_sets(plan).train, np.array([1, 4, 0, 2, 6, 3, 5, 7, 8, 9, 10, 11])  # 1, 4 and 6 are broken
    steps = Steps(images, Training(batch=2), None, True, chooser=lambda labels, draws: order)
    batches = list(load(steps, range(4), 0, False))
    assert [batch.indices.tolist() for batch in batches] == [[0, 0], [0, 2], [3, 3], [5, 7]]
    assert dict(batches[0].skipped).keys() == {1, 4}
    last = Steps(images, Training(batch=2), None, True, chooser=lambda labels, draws: order[::-1])
    assert next(load(last, [5], 0, False)).indices.tolist() == [11, 11]


def test_a_dataset_without_a_readable_image_is_reported(tmp_path: Path, folder: Path) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            path = tmp_path / "photos" / part / name
            path.mkdir(parents=True)
            for number in range(2):
                (path / f"{number}.jpg").write_bytes(b"no image")
    with pytest.raises(RecipeError, match=r"E070.*no training image can be read"):
        train(tmp_path / "photos", tmp_path / "run")
