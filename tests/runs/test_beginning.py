"""What a run that resumes keeps of its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recipe.runs.beginning import clean_metrics, clean_results

MEANS: dict[str, Any] = {"loss": 1.0, "top1": 0.5}
TRAIN: dict[str, Any] = {"kind": "train", **MEANS, "lr": 0.1, "images_per_second": 1.0}
EVALUATION: dict[str, Any] = {"kind": "evaluation", **MEANS}


def skipped(part: str) -> dict[str, Any]:
    return {"kind": "skipped", "part": part, "image": 3, "why": "damaged"}


LINES = [
    {**line, "step": round(2 * epoch), "epoch": epoch}
    for epoch, line in (
        (0.5, TRAIN), (1.0, TRAIN), (1.0, skipped("evaluation")), (1.0, EVALUATION), (1.5, skipped("training")),
        (1.5, TRAIN), (1.5, skipped("evaluation")), (1.5, EVALUATION), (2.0, TRAIN), (2.0, EVALUATION),
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("epoch", "evaluated", "kept"),
    [(1.0, True, LINES[:4]), (1.0, False, LINES[:3]), (1.5, True, LINES[:6]), (2.0, False, [*LINES[:6], LINES[8]])],
)
def test_lines_that_are_written_again_and_those_of_an_early_end_are_removed(
    epoch: float, evaluated: bool, kept: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    clean_metrics(tmp_path, epoch, evaluated)
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == kept


@pytest.mark.parametrize("weights", [False, True])
def test_the_results_of_an_early_end_are_removed(weights: bool, tmp_path: Path) -> None:
    names = {"summary.json", "evaluation.npz", "curves.png", "model.safetensors"}
    for name in (*names, "recipe.lock"):
        (tmp_path / name).write_text("")
    clean_results(tmp_path, weights)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"recipe.lock"} | (set() if weights else {"model.safetensors"})
