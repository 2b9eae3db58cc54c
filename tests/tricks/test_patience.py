"""`patience`: a training that no longer improves ends early, and is finished."""

from __future__ import annotations

import pytest

from recipe.plugins.contexts import EvaluationResult
from recipe.runs.layout import finished_run, is_finished
from recipe.training.reporting import closing
from recipe.tricks.patience import Patience
from tests.helpers import bind
from tests.training.helpers import TINY, weights_digest
from tests.training.scripted import Told, scripted, train, train_stock

TOP1 = (0.1, 0.4, 0.3, 0.4, 0.2)


def history(*scores):
    return [EvaluationResult(place + 1.0, 3 * (place + 1), score, {}) for place, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "stops"),
    [
        ((), False),
        ((0.1,), False),
        ((0.1, 0.2, 0.3), False),
        ((0.3, 0.2), False),
        ((0.3, 0.2, 0.1), True),
        ((0.3, 0.3, 0.3), True),  # no better than before
        ((0.3, 0.2, 0.4, 0.1), False),
        ((-2.0, -1.0, -1.5, -1.2), True),
    ],
)
def test_it_stops_after_that_many_epochs_without_a_better_one(scores, stops):
    assert Patience(epochs=2).stop(history(*scores)) is stops


@pytest.mark.parametrize(("epochs", "patience", "warns"), [(5, 3, False), (5, 4, True), (1, 1, True), (3, 1, False)])
def test_patience_that_never_ends_the_training_is_a_warning(epochs, patience, warns):
    found = bind(f"base resnet18; epochs {epochs}; patience {patience}").warnings
    expected = [f"it never ends the training before epoch {epochs}, its last"] if warns else []
    assert [warning.message for warning in found] == expected


@pytest.mark.parametrize(
    ("text", "epochs", "kept"),
    [
        ("patience 2", 4, 4),
        ("patience 2; keep best", 4, 2),
        ("patience 1", 3, 3),
        ("patience 3", 5, 5),
        ("patience 1; keep best by=loss", 2, 1),
    ],
)
def test_a_run_ends_early_with_its_reason(tmp_path, text, epochs, kept):
    told = Told()
    with scripted(top1=TOP1, loss=(1.0,) * 5) as script:
        run = train(tmp_path / "run", text, listener=told)
    summary, early = run.summary, epochs < 5
    assert weights_digest(run.model) == script.weights[kept - 1]
    assert (summary["status"], summary["steps"], summary["epochs"]) == ("finished", 3 * epochs, epochs)
    assert summary["planned_epochs"] == 5
    assert (summary["last"]["epoch"], summary["best"]["epoch"]) == (
        epochs,
        2 if kept == 2 or "best" not in text else kept,
    )
    note = f"`{text.partition(';')[0]}` ended the training after epoch {epochs} of 5"
    assert (note in summary["notes"], note in told.notes) == (early, early)
    assert f"after {epochs} of 5 epochs, " in closing(summary) if early else "after 5 epochs, " in closing(summary)
    assert len([line for line in run.metrics if line["kind"] == "evaluation"]) == epochs
    assert sorted(path.name for path in (run.folder / "checkpoints").iterdir())[-1] == f"step-{3 * epochs:09d}.pt"


def test_a_run_that_it_ended_is_finished(tmp_path):
    with scripted(top1=TOP1):
        run = train_stock(tmp_path / "run", "patience 2; keep best")
        plan = bind(TINY, "epochs 5", "patience 2; keep best")
        assert is_finished(run.folder, plan)
        assert finished_run(tmp_path, plan) == run.folder, "a student can use it as its teacher"
        told, before = Told(), {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
        again = train_stock(tmp_path / "run", "patience 2; keep best", resume=True, listener=told)
    assert told.notes[-1] == f"{run.folder} has already finished: nothing to do"
    assert again.summary == run.summary
    assert weights_digest(again.model) == weights_digest(run.model)
    assert {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()} == before
