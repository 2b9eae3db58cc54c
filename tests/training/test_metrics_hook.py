"""Metrics of a plugin: computed from the gathered logits, recorded, and compared by `keep best`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score

import recipe
from recipe.api import Trick, trick
from recipe.base.errors import RecipeError
from recipe.plugins.trick import Trick as Base
from recipe.runs.held_out import read_held_out
from tests.helpers import bind, diagnostics, vocabulary_with
from tests.training.helpers import TINY


@trick("metric f1")
class F1(Trick):
    """Compute the macro-averaged F1 score."""

    def metric_modes(self) -> dict[str, str]:
        return {"f1": "max", "error": "min"}

    def metrics(self, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        assert (logits.dtype, logits.device.type, labels.dtype) == (torch.float32, "cpu", torch.int64)
        predicted = logits.argmax(1)
        found = {
            "f1": f1_score(labels, predicted, average="macro"),
            "error": float((predicted != labels).float().mean()),
        }
        logits.zero_()  # spoils nothing
        labels.zero_()
        return found


def train(out: Path, *statements: str, tricks: tuple[type[Base], ...] = (F1,), **options: Any) -> recipe.Run:
    words = vocabulary_with(*tricks)
    return recipe.run(TINY, *statements, out=out, device="cpu", plugins=words, **options)


def test_they_stand_in_the_metrics_and_the_summary(tmp_path: Path) -> None:
    run = train(tmp_path / "run", "metric f1; lr 0.05")
    lines = [line for line in run.metrics if line["kind"] == "evaluation"]
    assert [{*line["metrics"]} for line in lines] == [{"f1", "error"}] * 2
    held_out = read_held_out(run.folder)
    expected = f1_score(held_out.label, held_out.logits.argmax(1), average="macro")
    assert run.summary["metrics"]["f1"] == pytest.approx(expected)
    assert run.summary["metrics"]["error"] == pytest.approx(1 - run.summary["top1"])
    assert run.summary["metrics"] == lines[-1]["metrics"] == run.summary["last"]["metrics"]


@pytest.mark.parametrize(("metric", "best"), [("f1", 2), ("error", 1)])
def test_keep_best_compares_by_one_in_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, best: int
) -> None:
    values = iter(({"f1": 0.1, "error": 0.1}, {"f1": 0.2, "error": 0.2}, *[{"f1": 0.0, "error": 0.0}] * 9))
    monkeypatch.setattr(F1, "metrics", lambda self, logits, labels: next(values))
    run = train(tmp_path / "run", f"metric f1; keep best by={metric}")
    assert (run.summary["best"]["epoch"], run.summary["best"]["by"]) == (best, metric)
    assert run.summary["best"]["metrics"][metric] == best / 10


def test_the_names_are_known_before_the_training() -> None:
    words = vocabulary_with(F1)
    assert bind("base resnet18; epochs 3; metric f1; keep best by=f1", words=words).training.keep_by == "f1"
    (error,) = diagnostics("base resnet18; epochs 3; metric f1; keep best by=eror", words=words)
    assert (error.code, error.help) == ("E033", "did you mean `error`?")


def wrong(words: str = "metric f1", **members: Any) -> type[Base]:
    """Return the trick with other words or members."""
    own = {"__doc__": "Compute a metric.", "metric_modes": F1.metric_modes, "metrics": F1.metrics}
    return trick(words)(type("Wrong", (Trick,), own | members))


@pytest.mark.parametrize(
    ("modes", "why"),
    [
        ({"loss": "min"}, "metric_modes: `loss` is already a metric of every evaluation"),
        ({"top5": "max"}, "metric_modes: `top5` is already a metric of every evaluation"),
        ({"f1": "up"}, "must return a mapping from names of metrics to `max` or `min`"),
        ({"f 1": "max"}, "must return a mapping from names of metrics to `max` or `min`"),
        (["f1"], "must return a mapping from names of metrics to `max` or `min`"),
    ],
)
def test_bad_names_are_an_error_in_the_trick(modes: Any, why: str) -> None:
    words = vocabulary_with(wrong(metric_modes=lambda self: modes))
    (error,) = diagnostics("base resnet18; metric f1", words=words)
    assert error.code == "E080"
    assert why in error.message


def test_two_tricks_with_one_metric_are_an_error() -> None:
    other = wrong("metric other")
    (error,) = diagnostics("base resnet18; metric f1 other", words=vocabulary_with(F1, other))
    assert (error.code, "`f1` is already a metric from theirs" in error.message) == ("E080", True)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"f1": 0.5}, "must return `error`, `f1`, as `metric_modes` declares, not `f1`"),
        ({"f1": 0.5, "error": float("nan")}, "must return a mapping from names of metrics to finite numbers"),
        ({"f1": 0.5, "error": torch.tensor(0.5)}, "must return a mapping from names of metrics to finite numbers"),
        (None, "must return a mapping from names of metrics to finite numbers"),
    ],
)
def test_bad_values_are_an_error_in_the_trick(tmp_path: Path, values: Any, why: str) -> None:
    with pytest.raises(RecipeError, match=r"E080.*metrics") as caught:
        train(tmp_path / "run", "metric f1", tricks=(wrong(metrics=lambda self, logits, labels: values),))
    assert why in str(caught.value)


def test_the_two_hooks_belong_together() -> None:
    for own, other in (("metrics", "metric_modes"), ("metric_modes", "metrics")):
        members = {"__doc__": "Compute a metric.", own: getattr(F1, own)}
        with pytest.raises(TypeError, match=f"^trick `metric f1`: the hook `{own}` needs the hook `{other}`$"):
            trick("metric f1")(type("Half", (Trick,), members))


def test_a_hook_that_stops_must_say_yes_or_no(tmp_path: Path) -> None:
    stopping = trick("halt")(type("Halt", (Trick,), {"__doc__": "End it.", "stop": lambda self, history: None}))
    with pytest.raises(RecipeError, match=r"E080.*`halt` from theirs is broken: stop: must return True or False"):
        train(tmp_path / "run", "halt", tricks=(stopping,))


def test_a_plugin_can_end_the_training(tmp_path: Path) -> None:
    def stop(self: Base, history: Any) -> bool:
        (first,) = history
        assert (first.epoch, first.step, first.score) == (1.0, 3, first.values["top1"])
        assert {*first.values} == {"loss", "top1", "top5", "balanced", "f1", "error"}
        return True

    halt = trick("halt")(type("Halt", (Trick,), {"__doc__": "End it.", "stop": stop}))
    run = train(tmp_path / "run", "halt; metric f1", tricks=(halt, F1))
    assert run.summary["steps"] == 3
    assert "`halt` ended the training after epoch 1 of 2" in run.summary["notes"]
