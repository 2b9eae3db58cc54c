"""`keep best`: the weights of the best epoch are kept, by the metric that the recipe names."""

from __future__ import annotations

import json

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from recipe.plan.plan import Plan
from recipe.training.reporting import closing
from tests.helpers import bind, diagnostics
from tests.training.helpers import weights_digest
from tests.training.scripted import Told, scripted, train

TOP1 = (0.1, 0.4, 0.3, 0.4, 0.2)
LOSS = (2.0, 1.5, 1.6, 1.2, 1.2)


def plan(text: str) -> Plan:
    return bind(f"base resnet18; epochs 3; {text}")


def test_it_sets_the_metric_to_keep_by():
    assert plan("").training.keep_by is None
    assert plan("keep best").training.keep_by == "top1"
    assert plan("keep best loss").training.keep_by == "loss"
    assert plan("keep best by=balanced").training.keep_by == "balanced"


def test_it_counts_in_the_digest_with_its_metric():
    texts = ("", "keep best", "keep best by=loss", "keep best by=balanced")
    assert len({plan(text).digest for text in texts}) == 4


@pytest.mark.parametrize(
    ("metric", "help"),
    [("top", "did you mean `top1`?"), ("f1", "the metrics of this recipe are `balanced`, `loss`, `top1`")],
)
def test_an_unknown_metric_is_an_error_at_its_word(metric, help):
    (error,) = diagnostics(f"base resnet18; epochs 3; keep best by={metric}")
    assert (error.code, error.message) == ("E033", f"`keep best` compares by the unknown metric `{metric}`")
    assert error.span.text == metric
    assert error.help == help


@pytest.mark.parametrize(("text", "code"), [("keep best 3", "E023"), ('keep best "loss"', "E023"), ("keep", "E025")])
def test_what_is_no_metric_is_an_error(text, code):
    assert [error.code for error in diagnostics(f"base resnet18; {text}")] == [code]


def test_it_conflicts_with_keep_last():
    (error,) = diagnostics("base resnet18; keep best; keep last")
    assert error.code == "E030"
    assert "both set the evaluation whose weights the run keeps" in error.message


def test_a_single_epoch_is_a_warning():
    (warning,) = bind("base resnet18; epochs 1; keep best").warnings
    assert warning.message == "the training has only one epoch, so the best one is the last one"


@pytest.mark.parametrize(("by", "best"), [("top1", 4), ("loss", 4)])
def test_the_best_epoch_is_kept_and_of_equally_good_ones_that_with_the_lowest_loss(tmp_path, by, best):
    with scripted(top1=TOP1, loss=LOSS) as script:
        run = train(tmp_path / "run", f"keep best by={by}")
    assert weights_digest(run.model) == script.weights[best - 1]
    weights = load_file(run.folder / "model.safetensors")
    assert all((weights[name] == tensor).all() for name, tensor in run.model.state_dict().items())
    assert (run.summary["kept"], run.summary["best"]["by"], run.summary["best"]["epoch"]) == ("best", by, best)
    assert run.summary["best"]["step"] == 3 * best
    results = {"top1": TOP1[best - 1], "loss": LOSS[best - 1]}
    assert {name: run.summary[name] for name in results} == results
    assert {name: run.summary["best"][name] for name in results} == results
    assert {name: run.summary["last"][name] for name in results} == {"top1": TOP1[-1], "loss": LOSS[-1]}
    assert (run.summary["last"]["epoch"], run.summary["last"]["step"]) == (5, 15)
    assert (run.summary["epochs"], run.summary["steps"]) == (5, 15)
    lines = [line for line in run.metrics if line["kind"] == "evaluation"]
    assert [line["top1"] for line in lines] == [*TOP1]


@pytest.mark.parametrize("words", ["keep best", "keep best by=balanced", "keep last"])
def test_of_epochs_with_the_same_results_the_earliest_is_the_best(tmp_path, words):
    values = (0.1, 0.4, 0.4, 0.4, 0.2)
    with scripted(top1=values, balanced=values, loss=(2.0, 1.5, 1.2, 1.2, 1.0)):
        assert train(tmp_path / "run", words).summary["best"]["epoch"] == 3


def test_the_closing_line_states_the_epoch(tmp_path):
    with scripted(top1=TOP1):
        best = train(tmp_path / "best", "keep best")
        last = train(tmp_path / "last")
    assert closing(best.summary).startswith("top-1 40.00%")
    assert " on held-out images in epoch 2, the best by top1, after 5 epochs, " in closing(best.summary)
    assert closing(last.summary).startswith("top-1 20.00%")
    assert " on held-out images after 5 epochs, " in closing(last.summary)


def test_the_header_of_the_weights_states_the_evaluation(tmp_path):
    with scripted(top1=TOP1):
        run = train(tmp_path / "run", "keep best")
    with safe_open(run.folder / "model.safetensors", "pt") as file:
        texts = file.metadata()
    kept = json.loads(texts["kept"])
    assert texts["digest"] == run.summary["digest"]
    assert (kept["epoch"], kept["by"], kept["value"]) == (2.0, "top1", 0.4)


def test_the_kept_weights_are_evaluated_again_only_if_they_are_not_the_last(tmp_path):
    told = Told()
    with scripted(top1=TOP1) as script:
        train(tmp_path / "early", "keep best", listener=told)
    assert script.evaluations == 6
    assert "evaluating the kept weights of epoch 2 again, to record each image" in told.notes
    with scripted(top1=(0.1, 0.2, 0.3, 0.4, 0.5)) as script:
        run = train(tmp_path / "late", "keep best")
    assert script.evaluations == 5
    assert run.summary["best"]["epoch"] == 5


def test_with_ema_the_average_of_the_best_epoch_is_kept(tmp_path):
    with scripted(top1=TOP1) as script:
        run = train(tmp_path / "run", "keep best; ema 0.5")
    assert weights_digest(run.model) == script.weights[1]


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_occur(tmp_path):
    import numpy as np
    from sklearn.metrics import recall_score

    from recipe.runs.held_out import read_held_out

    run = train(tmp_path / "run", "keep best by=balanced; lr 0.05")
    held_out = read_held_out(run.folder)
    occurring = np.unique(held_out.label)
    expected = recall_score(
        held_out.label, held_out.logits.argmax(1), labels=occurring, average="macro", zero_division=0
    )
    assert run.summary["balanced"] == pytest.approx(expected)
    assert run.summary["balanced"] == run.summary["best"]["balanced"]
    assert "balanced" in run.summary["last"]
    assert 1 < len(occurring) < 10
    lines = [line["balanced"] for line in run.metrics if line["kind"] == "evaluation"]
    assert run.summary["balanced"] == max(lines)
