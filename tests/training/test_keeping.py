"""What a run keeps of its evaluations survives interruptions, changes and damage, and is never silently wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import recipe
from recipe.base.errors import RecipeError
from recipe.base.signals import Interrupted
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs import checkpoints
from recipe.runs.best import kept_epoch, read_best
from recipe.runs.overview import overview
from recipe.runs.state import TrainingState
from recipe.runs.weights import packed_weights
from recipe.training import early_end
from tests.durability.photos import with_broken_images
from tests.durability.trials import Cut, outcome, small
from tests.training.helpers import weights_digest
from tests.training.scripted import Told, scripted, train

TOP1 = (0.1, 0.4, 0.3, 0.4, 0.2)


class Stop(Exception):
    """The training stops, as if it were killed."""


class StopAt(Told):
    """Stop after a step, without a checkpoint."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        if step == self.at:
            raise Stop


def stopped(out: Path, at: int, *statements: str, save_every: str = "epoch") -> None:
    with pytest.raises(Stop):
        train(out, *statements, listener=StopAt(at), save_every=save_every)


def newest(out: Path) -> TrainingState:
    packed, _ = checkpoints.read(out / "checkpoints")
    assert packed is not None
    return checkpoints.unpack(packed, torch.device("cpu"))


def lasting(run: recipe.Run) -> dict[str, object]:
    varying = ("seconds", "images_per_second", "peak_memory_bytes")
    return {name: value for name, value in run.summary.items() if name not in varying}


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("mid-epoch", "keep best"),
        ("last batch", "keep best; patience 2; ema 0.5"),
        ("epoch boundary", "keep best; patience 2; ema 0.5"),
        ("second epoch", "keep best"),
    ],
)
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path, point: str, words: str) -> None:
    with scripted(top1=TOP1):
        whole = train(tmp_path / "whole", words)
        with pytest.raises(Interrupted):
            train(tmp_path / "cut", words, listener=Cut(point))
        run = train(tmp_path / "cut", words, resume=True)
    assert lasting(run) == lasting(whole)
    assert outcome(run.folder) == outcome(whole.folder)
    assert (run.folder / "evaluation.npz").read_bytes() == (whole.folder / "evaluation.npz").read_bytes()
    assert weights_digest(run.model) == weights_digest(whole.model)


def test_a_checkpoint_counts_the_evaluations_and_the_best(tmp_path: Path) -> None:
    with scripted(top1=TOP1):
        stopped(tmp_path / "run", 11, "keep best")
    state, file = newest(tmp_path / "run"), read_best(tmp_path / "run")
    assert file is not None
    assert state.best is not None
    assert (state.step, state.best["epoch"], state.best["step"], state.best["value"]) == (9, 2.0, 6, 0.4)
    assert state.best["sha256"] == file.best.sha256
    assert state.evaluations is not None
    assert [(one["epoch"], one["top1"]) for one in state.evaluations] == [(1, 0.1), (2, 0.4), (3, 0.3)]
    assert kept_epoch(tmp_path / "run") == 2


def test_weights_that_are_newer_than_the_checkpoint_are_kept(tmp_path: Path) -> None:
    """Checkpoints may be saved less often than the best weights."""
    with scripted(top1=(0.1, 0.2, 0.3, 0.4, 0.2)):
        whole = train(tmp_path / "whole", "keep best")
        stopped(tmp_path / "run", 13, "keep best", save_every="6")
        assert newest(tmp_path / "run").step == 12
        (tmp_path / "run" / "checkpoints" / "step-000000012.pt").unlink()
        assert newest(tmp_path / "run").step == 6
        told = StopAt(10)  # before the fourth epoch is evaluated again
        with pytest.raises(Stop):
            train(tmp_path / "run", "keep best", resume=True, listener=told)
        assert kept_epoch(tmp_path / "run") == 4
        run = train(tmp_path / "run", "keep best", resume=True)
    assert not any("restarts" in note for note in told.notes)
    assert lasting(run) == lasting(whole)
    assert outcome(run.folder) == outcome(whole.folder)


def test_a_run_without_a_checkpoint_restarts_with_its_best_weights(tmp_path: Path) -> None:
    with scripted(top1=TOP1):
        whole = train(tmp_path / "whole", "keep best")
        stopped(tmp_path / "run", 10, "keep best", save_every="1h")
        assert not (tmp_path / "run" / "checkpoints").exists()
        with pytest.raises(Stop):
            train(tmp_path / "run", "keep best", resume=True, listener=StopAt(4))
        assert kept_epoch(tmp_path / "run") == 2, "the first epoch is not better"
        run = train(tmp_path / "run", "keep best", resume=True)
    assert lasting(run) == lasting(whole)


@pytest.mark.parametrize("damage", ["missing", "flipped", "of another run"])
def test_lost_weights_restart_the_choice(tmp_path: Path, damage: str) -> None:
    with scripted(top1=TOP1) as script:
        stopped(tmp_path / "run", 11, "keep best")
        spoil(tmp_path / "run", damage)
        told = Told()
        run = train(tmp_path / "run", "keep best", resume=True, listener=told)
    note = "the choice of the best epoch restarts at step 9: `model.safetensors` is missing or damaged"
    assert note in told.notes
    assert note in run.summary["notes"]
    assert run.summary["best"]["epoch"] == 4
    assert weights_digest(run.model) == script.weights[3]


@pytest.mark.parametrize("damage", ["missing", "flipped", "of another run"])
def test_weights_that_the_checkpoint_has_are_written_again(tmp_path: Path, damage: str) -> None:
    with scripted(top1=TOP1):
        whole = train(tmp_path / "whole", "keep best")
        stopped(tmp_path / "run", 7, "keep best")
        spoil(tmp_path / "run", damage)
        run = train(tmp_path / "run", "keep best", resume=True)
    assert lasting(run) == lasting(whole)
    assert outcome(run.folder) == outcome(whole.folder)


def spoil(out: Path, damage: str) -> None:
    path = out / "model.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "missing":
        path.unlink()
    else:
        save_file({name: 2 * tensor for name, tensor in load_file(path).items()}, path, {"digest": "0" * 16})


def test_lost_weights_of_a_finished_run_are_an_error(tmp_path: Path) -> None:
    with scripted(top1=TOP1):
        run = train(tmp_path / "run", "keep best")
        spoil(run.folder, "flipped")
        with pytest.raises(RecipeError, match=r"E132\]: the best weights of the run in .* are lost"):
            train(tmp_path / "run", "keep best", resume=True)


def test_a_finished_run_whose_last_epoch_is_the_best_can_do_without_the_file(tmp_path: Path) -> None:
    with scripted(top1=(0.1, 0.2, 0.3, 0.4, 0.5)) as script:
        run = train(tmp_path / "run", "keep best")
        spoil(run.folder, "flipped")
        again = train(tmp_path / "run", "keep best", resume=True)
    assert weights_digest(again.model) == script.weights[-1]


def test_a_longer_training_keeps_the_best_of_all_its_epochs(tmp_path: Path) -> None:
    with scripted(top1=(*TOP1, 0.3, 0.2)) as script:
        train(tmp_path / "run", "keep best")
        run = train(tmp_path / "run", "keep best; epochs 7", resume=True, allow_changed=True)
        assert weights_digest(run.model) == script.weights[1]
        file = read_best(run.folder)
        assert file is not None
        assert file.digest == run.summary["digest"], "the file is one of the changed recipe"
        assert file.best.sha256 == run.summary["weights_sha256"]
        assert (run.summary["best"]["epoch"], run.summary["last"]["epoch"]) == (2, 7)
        again = train(tmp_path / "run", "keep best; epochs 7", resume=True)
        assert again.summary == run.summary


def test_another_metric_restarts_the_choice(tmp_path: Path) -> None:
    told = Told()
    with scripted(top1=TOP1, loss=(0.1, 0.2, 0.5, 0.4, 0.5)) as script:
        stopped(tmp_path / "run", 8, "keep best")
        run = train(tmp_path / "run", "keep best by=loss", resume=True, allow_changed=True, listener=told)
    assert "the choice of the best epoch restarts at step 6: epochs are now compared by loss" in told.notes
    assert weights_digest(run.model) == script.weights[3]


def test_keeping_the_best_from_some_epoch_on_is_noted(tmp_path: Path) -> None:
    told = Told()
    with scripted(top1=TOP1) as script:
        stopped(tmp_path / "run", 8)
        run = train(tmp_path / "run", "keep best", resume=True, allow_changed=True, listener=told)
    assert "the choice of the best epoch restarts at step 6: earlier weights were not kept" in told.notes
    assert weights_digest(run.model) == script.weights[3]


class Ends(Told):
    """Asks to end early after a step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.done = at, 0

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        self.done = step

    def asks_to_finish(self) -> bool:
        return self.done >= self.at


@pytest.fixture
def _looks_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_end, "LOOK_EVERY", 0.0)


@pytest.mark.usefixtures("_looks_at_every_step")
def test_weights_of_an_early_end_in_the_first_epoch_are_not_adopted(tmp_path: Path) -> None:
    with scripted(top1=TOP1):
        whole = train(tmp_path / "whole", "keep best")
    with scripted(top1=(0.9,) * 5):
        ended = train(tmp_path / "run", "keep best", listener=Ends(1))
    assert (ended.summary["status"], ended.summary["kept"]) == ("ended early", "last")
    assert ended.summary["weights_sha256"] == hashlib.sha256(packed_weights(ended.folder)).hexdigest()
    assert kept_epoch(ended.folder) is None
    with scripted(top1=TOP1):
        run = train(tmp_path / "run", "keep best", resume=True)
    assert lasting(run) == lasting(whole)
    assert outcome(run.folder) == outcome(whole.folder)


@pytest.mark.usefixtures("_looks_at_every_step")
def test_weights_of_an_early_end_after_the_choice_restarted_are_not_adopted(tmp_path: Path) -> None:
    told = Told()
    with scripted(top1=TOP1) as script:
        stopped(tmp_path / "run", 8)
    with scripted(top1=(0.9,) * 5):
        train(tmp_path / "run", "keep best", resume=True, allow_changed=True, listener=Ends(7))
    with scripted(top1=TOP1) as script:
        run = train(tmp_path / "run", "keep best", resume=True, listener=told)
    assert (run.summary["best"]["epoch"], run.summary["top1"]) == (4, 0.4)
    assert weights_digest(run.model) == script.weights[1]


@pytest.mark.usefixtures("_looks_at_every_step")
@pytest.mark.parametrize("words", ["keep last", "keep best"])
def test_an_evaluation_within_an_epoch_never_counts_as_the_best(tmp_path: Path, words: str) -> None:
    with scripted(top1=(0.1, 0.9, 0.3, 0.3, 0.3)):
        run = train(tmp_path / "run", words, listener=Ends(5))
    assert (run.summary["best"]["epoch"], run.summary["best"]["top1"]) == (1, 0.1)
    assert (run.summary["last"]["step"], run.summary["last"]["top1"]) == (5, 0.9)
    note = (
        "the last evaluation is better, with top-1 90.00% instead of 10.00% in the kept epoch 1, "
        "but only whole epochs are compared"
    )
    assert (note in run.summary["notes"]) == (words == "keep best")
    (row,) = overview(tmp_path, Vocabulary.installed()).rows
    assert (row.best, row.best_epoch, row.top1) == (0.1, 1.0, run.summary["top1"])


RESULTS = ("summary.json", "evaluation.npz", "curves.png", "model.safetensors")


@pytest.mark.usefixtures("_looks_at_every_step", "unhurried")
@pytest.mark.parametrize(
    ("words", "at", "left"),
    [("keep last", 8, []), ("keep best", 2, []), ("keep best", 8, ["model.safetensors"])],
)
def test_a_resumed_run_has_no_results_of_its_early_end(tmp_path: Path, words: str, at: int, left: list[str]) -> None:
    with scripted(top1=TOP1):
        run = train(tmp_path / "run", words, listener=Ends(at))
        assert all((run.folder / name).is_file() for name in RESULTS)
        with pytest.raises(Stop):
            train(tmp_path / "run", words, resume=True, listener=StopAt(at + 1))
    assert [name for name in RESULTS if (run.folder / name).exists()] == left


@pytest.mark.parametrize("again", [False, True], ids=["once", "and it is stopped again"])
def test_other_held_out_images_restart_the_choice(tmp_path: Path, again: bool) -> None:
    photos, told = with_broken_images(tmp_path / "photos"), Told()
    data = f'data folder "{photos}" size=32 workers=0 on-error=skip'
    program = recipe.compile(f"{data}; batch 4; epochs 5; lr 0.01; keep best", base=small(2))
    with scripted(top1=TOP1) as script:
        with pytest.raises(Stop):
            recipe.run(program, out=tmp_path / "run", device="cpu", listener=StopAt(8))
        Image.new("RGB", (40, 48), "red").save(photos / "val" / "cat" / "0.jpg")
        if again:
            with pytest.raises(Stop):
                recipe.run(
                    program, out=tmp_path / "run", device="cpu", resume=True, allow_changed=True, listener=StopAt(7)
                )
            assert not (tmp_path / "run" / "model.safetensors").exists()
        run = recipe.run(program, out=tmp_path / "run", device="cpu", resume=True, allow_changed=True, listener=told)
    note = "the choice of the best epoch restarts at step 6: the held-out images have changed"
    assert again or note in told.notes
    assert note in run.summary["notes"]
    assert (run.summary["best"]["epoch"], weights_digest(run.model)) == (4, script.weights[3])


def test_patience_counts_the_epochs_before_an_interruption(tmp_path: Path) -> None:
    with scripted(top1=TOP1):
        stopped(tmp_path / "run", 10)
        run = train(tmp_path / "run", "patience 2", resume=True, allow_changed=True)
    assert run.summary["last"]["epoch"] == 4


def test_a_training_that_patience_has_ended_is_over_under_a_changed_recipe(tmp_path: Path) -> None:
    with scripted(top1=TOP1):
        train(tmp_path / "run", "patience 2")
        with pytest.raises(RecipeError, match=r"E113.*already over under the changed recipe"):
            train(tmp_path / "run", "patience 2; seed 5", resume=True, allow_changed=True)
        run = train(tmp_path / "run", resume=True, allow_changed=True)
    assert run.summary["last"]["epoch"] == 5, "without patience, it goes on"


def test_a_run_killed_between_its_last_checkpoint_and_its_summary_is_finished(tmp_path: Path) -> None:
    with scripted(top1=TOP1):
        whole = train(tmp_path / "run", "keep best; patience 2")
        before = {
            path.name: path.read_bytes() for path in whole.folder.iterdir() if path.suffix in (".npz", ".safetensors")
        }
        for name in ("summary.json", "evaluation.npz"):
            (whole.folder / name).unlink()
        run = train(tmp_path / "run", "keep best; patience 2", resume=True)
    assert lasting(run) == lasting(whole)
    assert {name: (run.folder / name).read_bytes() for name in before} == before


def test_a_checkpoint_of_an_earlier_release_still_opens(tmp_path: Path) -> None:
    """It counts no evaluations, so they are read from the metrics."""
    with scripted(top1=TOP1):
        whole = train(tmp_path / "whole")
        stopped(tmp_path / "run", 10)
        for path in (tmp_path / "run" / "checkpoints").iterdir():
            state = torch.load(path, weights_only=True)
            del state["evaluations"], state["best"]
            path.write_bytes(_packed(state))
        run = train(tmp_path / "run", resume=True)
    assert lasting(run) == lasting(whole)
    assert run.summary["best"]["epoch"] == 2


def _packed(state: dict[str, object]) -> bytes:
    import io

    packed = io.BytesIO()
    torch.save(state, packed)
    return checkpoints.seal(packed.getvalue())


@pytest.mark.parametrize("change", [{"evaluations": [{"epoch": 1}]}, {"best": {"step": 3}}, {"best": 1}])
def test_a_checkpoint_with_other_contents_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    with scripted(top1=TOP1):
        stopped(tmp_path / "run", 10, "keep best")
        path = checkpoints.saved_in(tmp_path / "run" / "checkpoints")[-1]
        path.write_bytes(_packed(torch.load(path, weights_only=True) | change))
        told = Told()
        train(tmp_path / "run", "keep best", resume=True, listener=told)
    assert any("a checkpoint can't be read and was renamed" in note for note in told.notes)


def test_weights_that_evaluate_differently_at_the_end_are_noted(tmp_path: Path) -> None:
    """For example, because a resumed run is on another device."""
    with scripted(top1=TOP1):
        stopped(tmp_path / "run", 11, "keep best")
    with scripted(top1=(0.0, 0.0, 0.1, 0.2, 0.2)):  # not seen before, so the kept weights have the last result
        run = train(tmp_path / "run", "keep best", resume=True)
    assert "the kept weights now evaluate to top-1 20.00%, not 40.00% as in epoch 2" in run.summary["notes"]
    assert run.summary["top1"] == 0.4


@pytest.mark.parametrize(
    ("by", "values", "now"),
    [("loss", (0.5, 0.25, 0.4, 0.3, 0.3), 0.5), ("balanced", (0.1, 0.25, 0.2, 0.2, 0.2), 0.125)],
)
def test_another_value_of_the_metric_is_noted(tmp_path: Path, by: str, values: tuple[float, ...], now: float) -> None:
    """The accuracy stays the same, and the kept weights have the last result as above."""
    even = {"top1": (0.5,) * 5, "loss": (1.0,) * 5}
    with scripted(**{**even, by: values}):
        stopped(tmp_path / "run", 11, f"keep best by={by}")
    with scripted(**{**even, by: (*values[:-1], now)}):
        run = train(tmp_path / "run", f"keep best by={by}", resume=True)
    assert f"the kept weights now evaluate to {by} {now}, not 0.25 as in epoch 2" in run.summary["notes"]


def test_the_best_of_broken_weights_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipe.base.errors import Diverged
    from recipe.training.trainer import Trainer

    step = Trainer.train_step

    def broken(self: Trainer, *arguments: object) -> float:
        rate = step(self, *arguments)  # type: ignore[arg-type]
        if self.step == 9:
            with torch.no_grad():
                next(self.model.parameters()).fill_(float("inf"))
        return rate

    monkeypatch.setattr(Trainer, "train_step", broken)
    with scripted(top1=(0.1, 0.2, 0.3, 0.4, 0.5), loss=(1.0,) * 5), pytest.raises(Diverged, match="is not finite"):
        train(tmp_path / "run", "keep best")
    assert kept_epoch(tmp_path / "run") == 2


def test_the_curves_mark_the_kept_epoch(tmp_path: Path, unhurried: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    marks = []
    monkeypatch.setattr(Axes, "axvline", lambda self, x, **style: marks.append(x))
    with scripted(top1=TOP1):
        train(tmp_path / "best", "keep best")
        assert marks == [2.0, 2.0, 2.0]
        train(tmp_path / "last")
    assert len(marks) == 3


def test_the_metrics_file_and_the_checkpoint_agree(tmp_path: Path) -> None:
    with scripted(top1=TOP1):
        run = train(tmp_path / "run")
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    recorded = [{n: v for n, v in line.items() if n != "kind"} for line in lines if line["kind"] == "evaluation"]
    assert newest(run.folder).evaluations == recorded
    shutil.rmtree(run.folder)
