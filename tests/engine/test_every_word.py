"""No word of the vocabulary is parsed and ignored: every trick and every field changes what is compiled or trained.

For each trick and field two recipes that differ in nothing else are trained for a few steps. What is compared is what
came of it: the weights, the metrics, the code of the graph, and what was handed to torch; never the settings.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import recipe
from recipe.fields import Field
from tests.engine.helpers import weights_digest
from tests.engine.words import BASE, COMPANY, FIELDS, KEYS, PRESENT, WORDS, over, samples, statement, write_files

SHOWN_ELSEWHERE = {
    "norm sync": "it changes nothing in a single process: tests/durability/test_ranks.py",
    "data folder on_error": "its images are sound: tests/durability/test_skipped.py",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files")
    write_files(root)
    return root


@cache
def outcome(statements: str, runs: Path) -> tuple[Any, ...]:
    """All that came of a training, but times."""
    seen: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:

        def compiled(model: torch.nn.Module, mode: str) -> torch.nn.Module:
            seen.append(("compiled", mode))
            return model

        loader = torch.utils.data.DataLoader

        def loading(*args: Any, num_workers: int, **options: Any) -> Any:
            seen.append(("workers", num_workers))
            return loader(*args, num_workers=0, **options)

        patch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)  # the files are made up
        patch.setattr("torchvision.datasets.utils.check_integrity", lambda *_: True)
        patch.setattr("recipe.checkpoint.save", lambda *_: None)  # what is kept of a run is shown in test_runs
        patch.setattr("recipe.loop.pictures", lambda *_: None)
        patch.setattr("torch.compile", compiled)
        patch.setattr("recipe.loading.DataLoader", loading)
        run = recipe.run(BASE, statements, out=runs / str(len(list(runs.iterdir()))), device="cpu")
        if "distill" not in statements:
            (run.folder / "model.safetensors").unlink()
    metrics = [tuple(v for k, v in line.items() if k != "images_per_second") for line in run.metrics]
    return weights_digest(run.model), tuple(metrics), run.model.code, run.summary["precision"], tuple(seen)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS, ids=lambda key: " ".join(filter(None, key)))
def test_every_trick_changes_the_outcome(key: tuple[str, str | None], files: Path, runs: Path) -> None:
    word = " ".join(filter(None, key))
    if word in SHOWN_ELSEWHERE:
        pytest.skip(SHOWN_ELSEWHERE[word])
    if key[1] is None and WORDS.load(*key).declared.fields:
        pytest.skip("a verb's own value is shown field by field")
    company = COMPANY.get(word, "seed 0")
    if word == "init stock":
        company = "init kaiming"
    without = f"{company}; {PRESENT[word]}" if word in PRESENT else company
    assert outcome(over(company, statement(word, files)), runs) != outcome(without, runs)


@pytest.mark.slow
@pytest.mark.parametrize(("key", "field"), FIELDS, ids=[f"{' '.join(filter(None, k))} {f.word}" for k, f in FIELDS])
def test_every_field_changes_the_outcome(key: tuple[str, str | None], field: Field, files: Path, runs: Path) -> None:
    word = " ".join(filter(None, key))
    if f"{word} {field.name}" in SHOWN_ELSEWHERE:
        pytest.skip(SHOWN_ELSEWHERE[f"{word} {field.name}"])
    first, second = samples(word, field, files)
    company = COMPANY.get(f"{word} {field.name}", COMPANY.get(word, "seed 0"))
    results = [outcome(over(company, statement(word, files, field.name, value)), runs) for value in (first, second)]
    assert results[0] != results[1], f"{word} {field.word}={first} and ={second} come to the same"
