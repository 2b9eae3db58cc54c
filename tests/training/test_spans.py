"""Outside of its span, a trick changes nothing, to the bit; within it, it acts as without a span."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import recipe
from recipe.api import Trick, number, trick
from recipe.base.errors import Diverged
from recipe.base.signals import Interrupted
from recipe.compiler.program import Program
from recipe.compiler.without_effect import in_training
from recipe.devices.precision import precision
from recipe.inference.batches import Batch
from recipe.plugins.progress import Progress
from recipe.testing import small
from recipe.testing.harness import weights_digest
from recipe.training import estimate
from recipe.training.micro_batch import fitting_micro
from recipe.training.setup import prepare
from recipe.training.teachers import Teaching
from recipe.training.trainer import Trainer
from recipe.tricks.clip import Clip
from tests import builtins
from tests.durability.trials import POINTS, Cut, CutBetweenParts, outcome
from tests.helpers import vocabulary_with
from tests.runtimes import InFormat, Undrawn
from tests.training.helpers import TINY

FAKE = "data fake size=32 classes=10 images=24"
SETTINGS = "batch 8; epochs 2; lr 0.05"
"""Two epochs of three steps."""


@trick("even", writes=("loss terms",))
class Even(Trick):
    """Draw the logits of an image toward each other."""

    weight: float = number(0.5, "weight of their variance", minimum=0)

    def loss_term(self, context: Any) -> torch.Tensor:
        return self.weight * context.logits.var(1).mean()  # type: ignore[no-any-return]


@trick("shrink", writes=("loss terms",))
class Shrink(Trick):
    """Draw the features of a layer toward 0."""

    def features(self, net: Any) -> dict[str, str]:
        return {"last": "layer2"}

    def loss_term(self, context: Any) -> torch.Tensor:
        return context.features("last").square().mean()  # type: ignore[no-any-return]


@trick("hold", writes=("frozen",))
class Hold(Trick):
    """Freeze the first parameters after a part of the training."""

    start: float = number(0.0, "part of the training before it", minimum=0)

    def frozen(self, net: Any, progress: Progress) -> list[str]:
        return [*net.parameter_names][:9] if progress.epoch / progress.epochs >= self.start else []


WORDS = vocabulary_with(Even, Shrink, Hold)

TRICKS = {
    "crop_box": "augment crop",
    "augment": "augment jitter",
    "smooth_targets": "loss smooth 0.2",
    "mix": "augment mixup 1",
    "frozen": "hold",
    "loss": "loss bce",
    "loss_term": "even",
    "loss_term with features": "shrink",
    "perturb": "sam 0.5",
    "adjust": "clip 0.01",
}
"""A trick for each hook that a span limits."""


def compiled(*statements: str, data: str = FAKE, base: Any = small) -> Program:
    return recipe.compile(f"{data}; {SETTINGS}; {'; '.join(statements)}", base=base(), plugins=WORDS)


def train(out: Path, *statements: str, data: str = FAKE, runtime: Any = None, **options: Any) -> str:
    """Train, and return a digest of the weights."""
    program, runtime = compiled(*statements, data=data), runtime or Undrawn()
    run = recipe.run(program, out=out, device="cpu", plugins=WORDS, runtime=runtime, **options)
    return weights_digest(run.model)


def train_epochs(out: Path, first: str, second: str, data: str = FAKE, runtime: Any = None) -> str:
    """Train the first epoch with one recipe, and the second with another, and return a digest of the weights."""
    with pytest.raises(Interrupted):
        train(out, first, data=data, runtime=runtime, listener=Cut("epoch boundary"))
    return train(out, second, data=data, runtime=runtime, resume=True, allow_changed=True)


@pytest.mark.parametrize("hook", TRICKS)
def test_a_trick_acts_only_in_its_span(hook: str, tmp_path: Path) -> None:
    word = TRICKS[hook]
    without, whole = train(tmp_path / "without", ""), train(tmp_path / "whole", word)
    first = train(tmp_path / "first", f"{word} until=1")
    second = train(tmp_path / "second", f"{word} from=50%")
    assert len({without, whole, first, second}) == 4
    assert first == train_epochs(tmp_path / "1", word, "")
    assert second == train_epochs(tmp_path / "2", "", word)


def test_a_span_of_all_steps_is_no_span_and_one_of_no_step_is_no_trick(tmp_path: Path) -> None:
    """`recipe test-plugin` checks this for each trick, and tests/testing/test_builtins.py for the built-in ones."""

    def trained(name: str, span: str) -> str:
        return train(tmp_path / name, *(f"{word} {span}" for word in TRICKS.values()))

    assert trained("all", "from=0 until=100%") == trained("whole", "")
    assert trained("none", "from=99.9%") == train(tmp_path / "without", "")


@pytest.mark.parametrize("workers", [0, 2])
def test_images_are_cropped_only_in_its_span(workers: int, tmp_path: Path) -> None:
    """Images of several sizes are cropped as they are loaded, by worker processes if there are any."""
    builtins._write_folder(tmp_path / "images", 0)
    data = f'data folder "{tmp_path / "images"}" size=32 workers={workers}'
    none = "drop augment crop"  # which the folder suggests
    without, whole = (train(tmp_path / f"run {word}", word, data=data) for word in (none, "augment crop"))
    assert train(tmp_path / "none", "augment crop from=99.9%", data=data) == without
    first = train(tmp_path / "first", "augment crop until=1", data=data)
    assert len({without, whole, first}) == 3
    assert first == train_epochs(tmp_path / "1", "augment crop", none, data=data)


def test_the_step_decides_within_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    step = Trainer.train_step

    def recorded(self: Trainer, batch: Batch, meter: Any) -> float:
        seen.append((batch.step, self.prepare(batch)[1].ndim))
        return step(self, batch, meter)

    monkeypatch.setattr(Trainer, "train_step", recorded)
    train(tmp_path / "run", "loss smooth from=0.4 until=80%")
    assert seen == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2), (5, 1)]


def test_one_of_several_tricks_is_drawn_among_those_that_act(tmp_path: Path) -> None:
    """Otherwise, one of two tricks would mix images in half of the steps only."""
    both = train(tmp_path / "both", "augment mixup 1 cutmix from=99.9%")
    assert both == train(tmp_path / "one", "augment mixup 1")


def test_the_loss_scaler_is_not_disturbed_outside_of_a_span(tmp_path: Path) -> None:
    """Tricks that change gradients need them unscaled."""

    def scaled(name: str, *statements: str) -> str:
        return train(tmp_path / name, *statements, runtime=HalfPrecision(torch.float16, True))

    assert scaled("none", "clip 0.01 from=99.9%; sam from=99.9%") == scaled("without", "")
    half = HalfPrecision(torch.float16, True)
    assert scaled("first", "clip 0.01 until=1") == train_epochs(tmp_path / "1", "clip 0.01", "", runtime=half)


class HalfPrecision(InFormat, Undrawn):
    """A runtime that scales the loss, as on a GPU."""


MANY = (
    "augment crop until=0.5 flip from=0.5 mixup 1 until=50% cutmix from=1; loss smooth 0.1 from=0.3 until=80%; "
    "loss bce from=60%; clip 0.5 until=1.5; sam from=1; even until=1.5; shrink from=0.4; hold until=0.7; batch micro 4"
)
"""Spans that begin or end at each step."""


@pytest.mark.parametrize("point", POINTS)
def test_a_run_resumes_with_the_same_bits_around_the_ends_of_spans(
    point: str, tmp_path: Path, finished: dict[str, str]
) -> None:
    cut = Cut(point)
    with pytest.raises(Interrupted):
        train(tmp_path / "run", MANY, runtime=CutBetweenParts(cut), listener=cut)
    train(tmp_path / "run", MANY, resume=True)
    assert outcome(tmp_path / "run") == finished["outcome"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Train without an interruption."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(folder, MANY)
    return {"outcome": outcome(folder)}


@pytest.mark.parametrize("span", ["", "until=1", "from=1"])
def test_a_loop_of_ones_own_follows_spans(span: str, tmp_path: Path) -> None:
    text = f"{TINY}; augment flip {span} mixup 1 {span}; loss smooth 0.1 {span} bce {span}"
    program = recipe.compile(text)
    run = recipe.run(program, out=tmp_path / "run", device="cpu", runtime=Undrawn())
    batches, model = recipe.batches(program, device="cpu"), recipe.compile(text).model
    model = model.to(memory_format=torch.channels_last)
    optimizer = program.optimizer(model)
    for batch in batches.training():
        acts = {"": True, "until=1": batch.epoch == 0, "from=1": batch.epoch == 1}[span]
        assert (batch.targets.ndim == 2) == acts
        torch.manual_seed(batch.seed)
        program.set_lr(optimizer, batch.step, batches.steps_per_epoch)
        loss = batches.loss(model.train()(batch.images), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert weights_digest(model) == weights_digest(run.model.train())


def test_a_teacher_is_asked_only_within_the_span_of_its_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ask = [], Teaching.__call__
    monkeypatch.setattr(Teaching, "__call__", lambda self, inputs: asked.append(len(inputs)) or ask(self, inputs))
    teacher = tmp_path / "teacher.recipe"
    teacher.write_text(f"base timm:test_resnet\n{FAKE}\nbatch 8\nepochs 1\nlr 0.01\n")
    text = f'{TINY}; loss distill "{teacher}" until=0.5'
    recipe.run(text, out=tmp_path / "runs" / "a", device="cpu", runtime=Undrawn())
    assert asked == [8, 8]


def test_the_size_of_micro_batches_is_found_with_all_tricks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trick that starts later needs its memory then."""
    called = []
    monkeypatch.setattr(Even, "loss_term", lambda self, context: called.append(1) or context.loss)
    program = compiled("even from=1; batch micro auto")
    sets, program = prepare(program.plan, program)
    cpu = torch.device("cpu")
    fitting_micro(Trainer.make(program, sets, cpu, precision("fp32", cpu), {}))
    assert called


def test_an_estimate_times_tricks_within_their_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four points of a training are timed, with two steps each."""
    steps, step = [], Trainer.train_step

    def recorded(self: Trainer, batch: Batch, meter: Any) -> float:
        steps.append((self.step, batch.step, self.prepare(batch)[1].ndim))
        return step(self, batch, meter)

    monkeypatch.setattr(Trainer, "train_step", recorded)
    program = recipe.compile(TINY, "epochs 8; augment mixup from=50%")
    sets, program = prepare(program.plan, program)
    estimate.measure(program, sets, (), torch.device("cpu"))
    assert [*dict.fromkeys(steps)] == [(3, 3, 1), (9, 9, 1), (15, 15, 2), (21, 21, 2)]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "clip 1 from=0.4 until=0.6",
            ["`clip` has no effect: its span `from=0.4 until=0.6` has none of the 6 steps of"],
        ),
        ("clip 1 from=1.9", ["`clip` has no effect: its span `from=1.9` has none of the 6 steps of the training"]),
        ("clip 1 from=1.5", []),
        ("hold 0.5 until=1", ["`hold` has no effect: it freezes no parameter at any step of its span"]),
        ("hold 0.5 from=1", []),
        ("clip 1 from=3", ["`clip` has no effect: it starts at `from=3`, and the training has 2 epochs"]),
        ("loss bce threshold=0.5 until=1 smooth 0.1 from=1", []),  # they don't act at the same time
    ],
)
def test_spans_without_effect_are_warnings(text: str, messages: list[str]) -> None:
    program = recipe.compile(TINY, text, device="meta", plugins=WORDS)
    found = [warning.message for warning in (*program.warnings, *in_training(program, 24))]
    assert len(found) == len(messages), found
    assert all(said in message for said, message in zip(messages, found, strict=True)), found


def test_a_diverging_step_is_repeated_with_the_tricks_that_act_in_it(tmp_path: Path) -> None:
    @trick("burst", writes=("loss terms",))
    class Burst(Trick):
        """Return a term that isn't finite."""

        def loss_term(self, context: Any) -> torch.Tensor:
            return context.loss * torch.nan  # type: ignore[no-any-return]

    words = vocabulary_with(Burst)
    text = f"{FAKE}; {SETTINGS}; burst from=1"
    program = recipe.compile(text, base=small(), plugins=words)
    with pytest.raises(Diverged, match=r"diverged at step 4.*`loss_term` of `burst`"):
        recipe.run(program, out=tmp_path / "run", device="cpu", plugins=words, runtime=Undrawn())


def test_progress_within_a_span_is_that_of_the_whole_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Progress] = []
    adjust = Clip.adjust
    monkeypatch.setattr(
        Clip,
        "adjust",
        lambda self, gradients, weights, progress: seen.append(progress) or adjust(self, gradients, weights, progress),
    )
    train(tmp_path / "run", "clip 1 from=1")
    assert [(progress.step, progress.epochs) for progress in seen] == [(3, 2), (4, 2), (5, 2)]
