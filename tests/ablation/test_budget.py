"""Fitting an ablation into a budget."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import recipe
import recipe.training.engine  # imported before its dependencies are patched
from recipe.ablation.cells import budget as api
from recipe.ablation.cells.budget import MOST_SEEDS, Budget, fit, seconds_of
from recipe.ablation.cells.launchers import Workers
from recipe.base.errors import RecipeError
from recipe.devices import choice
from tests.ablation.helpers import study

ROWS = st.lists(st.floats(0.1, 100), min_size=2, max_size=8)


def taken(rows: list[float], startup: float, seeds: int, epochs: int) -> float:
    return seeds * sum(startup + epochs * row for row in rows)


@given(ROWS, st.floats(0, 10), st.integers(1, 50), st.floats(1, 10_000), st.none() | st.integers(1, 5))
def test_the_longest_plan_that_fits_is_chosen(
    rows: list[float], startup: float, epochs: int, budget: float, seeds: int | None
) -> None:
    least = taken(rows, startup, seeds or 2, 1)
    if least > budget * (1 + 1e-9):
        with pytest.raises(RecipeError, match="E127"):
            fit(budget, startup, rows, epochs, seeds, 1)
        return
    if least > budget * (1 - 1e-9):
        return  # too close to the limit to tell
    found = fit(budget, startup, rows, epochs, seeds, 1)
    assert found.seconds == pytest.approx(taken(rows, startup, found.seeds, found.epochs))
    assert found.seconds <= budget * (1 + 1e-9)
    assert 1 <= found.epochs <= epochs
    if found.epochs < epochs:
        assert taken(rows, startup, found.seeds, found.epochs + 1) > budget * (1 - 1e-9)
    if seeds:
        assert found.seeds == seeds
    else:
        assert 2 <= found.seeds <= MOST_SEEDS
        if found.seeds > 3:
            assert found.epochs == epochs, "more than three seeds only if all epochs of the recipe fit"


def test_seeds_grow_only_when_all_epochs_fit() -> None:
    assert (fit(100, 0, [1, 1], 5, None, 1).seeds, fit(100, 0, [1, 1], 5, None, 1).epochs) == (10, 5)
    assert (fit(55, 0, [1, 1], 5, None, 1).seeds, fit(55, 0, [1, 1], 5, None, 1).epochs) == (5, 5)
    assert (fit(29, 0, [1, 1], 5, None, 1).seeds, fit(29, 0, [1, 1], 5, None, 1).epochs) == (3, 4)
    assert (fit(5, 0, [1, 1], 5, None, 1).seeds, fit(5, 0, [1, 1], 5, None, 1).epochs) == (2, 1)
    assert fit(15, 0, [1, 1], 5, None, 2).epochs == 5, "two devices take half the time"
    assert fit(29, 0, [25] * 9, 1, 1, 9).seconds == 25
    with pytest.raises(RecipeError, match="E127"):
        fit(49, 0, [25] * 9, 1, 1, 8)  # the ninth run starts when one of the eight has ended


def test_training_teachers_counts() -> None:
    assert fit(30, 0, [1, 1], 5, 3, 1).epochs == 5
    assert fit(30, 0, [1, 1], 5, 3, 1, before=6).epochs == 4


def test_runs_that_confirm_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert fit(30, 0, [1, 2], 5, 3, 1).epochs == 3
    assert fit(30, 0, [1, 2], 5, 3, 1, confirming=2).epochs == 2
    with pytest.raises(RecipeError, match="about 10 s for one epoch of each row with 2 seeds and 2 runs to confirm"):
        fit(5, 0, [1, 2], 5, None, 1, confirming=2)
    timed(monkeypatch)
    said = list[str]()

    def most(confirm: bool) -> int:
        text, over = "base resnet18; epochs 1", ["loss smooth", "tweak D"]
        found = study(
            text, mode="screen", over=over, budget="62s", confirm=confirm, out=tmp_path / "x", tell=said.append
        )
        return len(found.outline.seeds)

    assert (most(confirm=False), most(confirm=True)) == (7, 6)
    assert said[-1] == "planned: 6 seeds, 1 epoch; 30 runs, about 1.0 min"


def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run take two seconds, of which one is that of its only epoch."""
    monkeypatch.setattr(api, "startup_seconds", lambda: 0.0)
    monkeypatch.setattr(api, "run_seconds", lambda plan, device: (1.0, 1.0))


@pytest.mark.parametrize("text", ["", "20", "0m", "m", "-5m", "20 minutes", "1e3s", "nan"])
def test_invalid_budgets_are_rejected(text: str) -> None:
    with pytest.raises(RecipeError, match="E127"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("jobs", "launcher", "gpus", "parallel"),
    [(1, "local", 0, 1), (3, "local", 0, 1), (3, "local", 2, 2), (2, "local", 4, 2), (8, "slurm", 0, 8)],
)
def test_runs_are_planned_in_parallel_if_each_has_a_device(
    jobs: int, launcher: str, gpus: int, parallel: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []

    def fitting(
        budget: float, startup: float, rows: list[float], epochs: int, seeds: int | None, side: int, *more: float
    ) -> Budget:
        asked.append(side)
        return Budget(3, epochs, 1.0)

    monkeypatch.setattr(api, "fit", fitting)
    timed(monkeypatch)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(choice, "pick", lambda device: None)
    workers = Workers(None, jobs, launcher, {"timeout_min": "60"} if launcher == "slurm" else {})
    study("base resnet18; loss smooth", mode="drop", budget="1h", workers=workers, out=tmp_path / "x")
    assert asked == [parallel]


@pytest.mark.parametrize(
    ("wrong", "said"), [({"jobs": 0}, "`jobs` must be at least 1"), ({"seeds": 0}, "1 to 1,000 seeds, not 0")]
)
def test_counts_below_one_are_rejected(wrong: dict[str, int], said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe.ablate("base resnet18; loss smooth", mode="drop", out=tmp_path / "x", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
