"""Complete runs: their files, and repeating and resuming them with identical bits."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import recipe
from recipe.api import Trick, trick
from recipe.base.errors import Diverged, RecipeError
from recipe.base.signals import Interrupted
from recipe.language.recipe_input import read
from recipe.plan.bind import bind
from recipe.plugins.fingerprint import code_of
from recipe.plugins.vocabulary import Offer, Vocabulary
from recipe.runs.reader import summary_of
from recipe.testing import small
from recipe.training.reporting import Listener
from tests.helpers import command
from tests.training.helpers import TINY, train, weights_digest

DATA = "data fake size=32 classes=10 images=24"
ALL = (
    "epochs 2; tweak C D; init zero-gamma; augment crop flip jitter pca-noise mixup cutmix; batch 8 micro 4; "
    "loss smooth; decay no-bias; lr 0.05 per 8 warmup 1 cosine; ema 0.9; precision bf16"
)


def train_all(out: Path, data: str = DATA, **options: object) -> recipe.Run:
    """Train with many tricks for two epochs of three steps."""
    program = recipe.compile(f"{data}; {ALL}", base=small())
    return recipe.run(program, out=out, device="cpu", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> recipe.Run:
    """Return the finished run of this training."""
    return train_all(tmp_path_factory.mktemp("whole") / "run")


class SendSignal(Listener):
    """Sends a signal to this process after a given step."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.at, self.number = step, number

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        if step == self.at:
            os.kill(os.getpid(), self.number)


@pytest.mark.usefixtures("unhurried")
def test_a_run_folder_is_complete(tmp_path: Path) -> None:
    run = train(tmp_path / "run", "loss smooth")
    names = {path.name for path in run.folder.iterdir()}
    kept = (
        ".lock recipe.lock environment.json classes.json preprocessing.json data.json metrics.jsonl summary.json "
        "checkpoints curves.png model.safetensors evaluation.npz"
    )
    assert names == set(kept.split())
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary == {**run.summary, "checksum": summary["checksum"]}
    assert summary["status"] == "finished"
    assert summary["steps"] == 6
    kinds = [line["kind"] for line in run.metrics]
    assert kinds == ["train", "train", "train", "evaluation"] * 2
    assert (run.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    weights = load_file(run.folder / "model.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in run.model.state_dict().items())


def test_the_lock_binds_to_the_same_plan(tmp_path: Path) -> None:
    text = f"base resnet18; data fake size=32 classes=10 images=8; {ALL}"
    run = train(tmp_path / "run", "epochs 1", text=text)
    plan = bind([read(run.folder / "recipe.lock")], data=True)
    assert plan.digest == run.summary["digest"]
    assert (run.folder / "recipe.lock").read_text().startswith(f"# plan v2 {plan.digest}\n")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", None),
        ("summary.json", b"{"),
        ("summary.json", b'{"digest": "DIGEST"}'),
        ("metrics.jsonl", b'\xff\n5\n{}\n{"kind": "train"}\n'),
    ],
)
def test_resume_repairs_a_finished_run_with_a_damaged_file(name: str, content: bytes | None, tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    weights, path = (run.folder / "model.safetensors").read_bytes(), run.folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.replace(b"DIGEST", run.summary["digest"].encode()))
    again = train(tmp_path / "run", resume=True)
    assert again.summary["top1"] == run.summary["top1"]
    assert summary_of(run.folder) == again.summary
    assert (run.folder / "model.safetensors").read_bytes() == weights
    assert all(line["kind"] in ("train", "evaluation") for line in again.metrics)


def test_repeated_runs_are_bit_identical_with_and_without_workers(tmp_path: Path, whole: recipe.Run) -> None:
    for number, workers in enumerate((0, 2)):
        again = train_all(tmp_path / str(number), f"{DATA} workers={workers}")
        assert weights_digest(again.model) == weights_digest(whole.model)


def test_another_seed_changes_the_training(tmp_path: Path) -> None:
    assert weights_digest(train(tmp_path / "a").model) != weights_digest(train(tmp_path / "b", "seed 1").model)


@pytest.mark.parametrize("step", [1, 3, 4])
def test_an_interrupted_run_resumes_with_identical_bits(tmp_path: Path, whole: recipe.Run, step: int) -> None:
    with pytest.raises(Interrupted) as stopped:
        train_all(tmp_path / "cut", listener=SendSignal(step))
    assert stopped.value.step == step
    resumed = train_all(tmp_path / "cut", resume=True)
    assert weights_digest(resumed.model) == weights_digest(whole.model)
    without_time = [
        [{key: value for key, value in line.items() if key != "images_per_second"} for line in run.metrics]
        for run in (whole, resumed)
    ]
    assert without_time[0] == without_time[1]


def test_resume_without_a_run_starts_one(tmp_path: Path) -> None:
    assert train(tmp_path / "new", "epochs 1", resume=True).summary["steps"] == 3


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    train(tmp_path / "run", "epochs 1")
    with pytest.raises(RecipeError, match="E113"):
        train(tmp_path / "run", "epochs 1")
    with pytest.raises(RecipeError, match="E113"):
        train(tmp_path / "run", "epochs 2", resume=True)


def test_a_run_without_its_lock_can_be_resumed(tmp_path: Path) -> None:
    run = train(tmp_path / "run", "epochs 1")
    (run.folder / "recipe.lock").unlink()
    with pytest.raises(RecipeError, match=r"E113.*already contains a finished run\n"):
        train(tmp_path / "run", "epochs 1")
    with pytest.raises(RecipeError, match=r"E113.*another recipe"):
        train(tmp_path / "run", "epochs 1; lr 0.3", resume=True)
    assert train(tmp_path / "run", "epochs 1", resume=True).summary == run.summary


def test_resume_rejects_the_folder_of_another_recipe(tmp_path: Path) -> None:
    run = train(tmp_path / "run", "epochs 1")
    before = (run.folder / "metrics.jsonl").read_bytes()
    for saved in (run.folder / "checkpoints").iterdir():
        saved.unlink()
    with pytest.raises(RecipeError, match="E113"):
        train(tmp_path / "run", "epochs 1; lr 0.3", resume=True)
    assert (run.folder / "metrics.jsonl").read_bytes() == before


def test_resuming_a_finished_run_does_not_change_it(tmp_path: Path) -> None:
    run = train(tmp_path / "run", "epochs 1")
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    again = train(tmp_path / "run", "epochs 1", resume=True)
    assert again.summary == run.summary
    assert weights_digest(again.model) == weights_digest(run.model)
    assert {name: (run.folder / name).read_bytes() for name in before if name != "recipe.lock"} == {
        name: data for name, data in before.items() if name != "recipe.lock"
    }


@pytest.mark.parametrize("name", ["metrics.jsonl", "summary.json", "model.safetensors"])
def test_a_foreign_file_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(RecipeError, match=f"E113.*already contains other files, such as `{name}`"):
        train(tmp_path, "epochs 1")
    assert (tmp_path / name).read_text() == "precious"


def test_the_model_of_a_run_is_the_evaluated_one(tmp_path: Path) -> None:
    assert not train(tmp_path / "run", "epochs 1").model.training


def test_a_run_does_not_change_the_random_state_of_the_caller(tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(tmp_path / "run", "epochs 1")
    assert torch.equal(torch.rand(3), expected)


def test_a_damaged_checkpoint_is_skipped_for_the_one_before_it(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    newest = sorted((whole.folder / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    resumed = train(tmp_path / "whole", resume=True)
    assert weights_digest(resumed.model) == weights_digest(whole.model)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_a_checkpoint_and_sets_the_exit_code(tmp_path: Path, number: int, status: int) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "recipe", "run", TINY, "epochs 500", "--out", str(out), "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if line.startswith("epoch 1/"):
                process.send_signal(number)
        assert process.wait() == status
    assert "--resume" in seen
    assert "Traceback" not in seen
    assert list((out / "checkpoints").glob("step-*.pt"))


DIM = '''"""augment dim"""
from recipe.api import Trick, trick

@trick("augment dim", writes=("inputs",))
class Dim(Trick):
    """Take light away."""

    def augment(self, images, draws):
        return images * 0.5
'''


def test_the_printed_call_resumes_a_run_with_a_plugin_and_warns_about_changed_code(tmp_path: Path) -> None:
    file, out = tmp_path / "dim it.py", tmp_path / "run"
    file.write_text(DIM)

    def words() -> Vocabulary:
        code_of.cache_clear()  # as in a new process
        return Vocabulary.installed([file])

    def go_on(**options: bool) -> recipe.Run:
        return recipe.run(TINY, "augment dim", out=out, device="cpu", plugins=words(), resume=True, **options)

    with pytest.raises(recipe.Interrupted) as caught:
        recipe.run(TINY, "augment dim", out=out, device="cpu", plugins=words(), listener=SendSignal(2))
    said = str(caught.value).partition("resume with: ")[2]
    assert said == f'recipe.run("{out}", resume=True, device="cpu", plugins=["{file}"])'
    file.write_text(DIM.replace("0.5", "0.25"))
    with pytest.raises(
        RecipeError, match=r"E113.*the code of `augment dim` from .*dim it.py has changed(.|\n)*`allow_changed=True`"
    ):
        go_on()
    notes = go_on(allow_changed=True).summary["notes"]
    assert f"the code of `augment dim` from {file} has changed since the run was started" in notes


def test_a_full_disk_keeps_the_last_valid_checkpoint(tmp_path: Path) -> None:
    class Fill(Listener):
        def epoch(self, number: int, result: dict[str, float]) -> None:
            if number == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(RecipeError, match="E111"):
            train(tmp_path / "run", listener=Fill())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    files = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert files == ["step-000000003.pt"]
    assert weights_digest(train(tmp_path / "run", resume=True).model) == weights_digest(train(tmp_path / "whole").model)


def test_a_diverging_training_stops_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="E112"):
        train(tmp_path / "run", "lr 1000; epochs 30; init stock")


def test_an_update_that_breaks_the_weights_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="E112"):
        train(tmp_path / "run", "lr 1000; batch 24; epochs 2; init stock")
    assert not (tmp_path / "run" / "summary.json").exists()
    for saved in (tmp_path / "run" / "checkpoints").glob("*.pt"):
        state = torch.load(saved, weights_only=True)
        assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())


def test_more_outputs_than_classes_train_with_soft_targets(tmp_path: Path) -> None:
    text = f"{TINY}; loss smooth; augment mixup".replace("timm:test_resnet", "timm:test_resnet classes=20")
    assert train(tmp_path / "run", text=text).summary["steps"] == 6


def test_batches_that_are_too_small_for_the_model_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E103.*a batch of 1"):
        train(tmp_path / "run", "batch 1")


def test_a_compiled_program_can_be_run(tmp_path: Path) -> None:
    program = recipe.compile(TINY)
    run = recipe.run(program, out=tmp_path / "a", device="cpu")
    assert weights_digest(run.model) == weights_digest(train(tmp_path / "b").model)


def test_a_program_without_weights_can_be_run(tmp_path: Path) -> None:
    run = recipe.run(recipe.compile(TINY, device="meta"), out=tmp_path / "a", device="cpu")
    assert weights_digest(run.model) == weights_digest(train(tmp_path / "b").model)


def test_a_program_trains_from_the_weights_of_its_model(tmp_path: Path) -> None:
    program = recipe.compile(TINY, "epochs 1; lr 1e-9; decay 0")
    with torch.no_grad():
        program.model.fc.bias.fill_(3)
    run = recipe.run(program, out=tmp_path / "run", device="cpu")
    assert run.model.fc.bias.min() > 2.9
    assert torch.equal(program.model.fc.bias, torch.full((10,), 3.0))


def test_a_custom_model_trains_from_its_own_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 10)
    )
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    program = recipe.compile("data digits size=16; epochs 1; lr 1e-6", base=module)
    run = recipe.run(program, out=tmp_path / "run", device="cpu")
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(torch.allclose(before[name], tensor, atol=1e-3) for name, tensor in run.model.state_dict().items())


@pytest.mark.parametrize(
    "text",
    [
        "base inception_v3; data fake size=299 classes=10 images=8; batch 4; epochs 1; loss smooth; augment mixup",
        "base mobilenet_v2; init zero-gamma; data fake size=32 classes=10 images=16; batch 8; epochs 1; ema 0.9",
        "base googlenet; data fake size=64 classes=10 images=16; batch 8; epochs 1; decay no-bias",
        "base timm:resnet18; tweak C D; data fake size=32 classes=10 images=16; batch 8; epochs 1",
    ],
)
def test_other_families_train(tmp_path: Path, text: str) -> None:
    run = train(tmp_path / "run", text=text)
    assert run.metrics[-1]["kind"] == "evaluation"
    assert torch.isfinite(torch.tensor(run.summary["loss"]))


@pytest.mark.slow
def test_the_first_recipe_learns_to_recognize_digits(tmp_path: Path) -> None:
    """`python -m tests.main_job` trains it with more seeds, and the full recipe to 99 %."""
    first = Path(__file__).parents[2] / "examples" / "first.recipe"
    run = recipe.run(first, out=tmp_path / "run", device="cpu")
    assert run.summary["top1"] >= 0.95


@pytest.mark.slow
def test_the_six_statements_of_the_readme_train(tmp_path: Path) -> None:
    text = "base resnet50; tweak C; tweak D; lr warmup 5 cosine; precision fp16; batch 1024"
    few = "data fake size=32 classes=10 images=64"
    run = recipe.run(text, f"epochs 1; {few}", out=tmp_path / "run", device="cpu")
    assert any(note.startswith("precision fp16 runs as") for note in run.summary["notes"])
    assert run.summary["precision"] in ("bf16", "fp32")


def test_the_run_of_another_custom_model_is_rejected(tmp_path: Path) -> None:
    """The plans are equal because no recipe describes the models."""

    def own(bias: float) -> recipe.Program:
        module = small()
        torch.nn.init.constant_(module.get_parameter("fc.bias"), bias)
        return recipe.compile(f"{DATA}; batch 8; epochs 1", base=module)

    recipe.run(own(0), out=tmp_path / "own", device="cpu")
    assert recipe.run(own(0), out=tmp_path / "own", device="cpu", resume=True).summary["steps"] == 3
    with pytest.raises(recipe.RecipeError, match="another recipe or model"):
        recipe.run(own(1), out=tmp_path / "own", device="cpu", resume=True)


@trick("augment boom", writes=("inputs",))
class Boom(Trick):
    """Fail while a model trains."""

    def augment(self, images: torch.Tensor, draws: object) -> torch.Tensor:
        raise ValueError("boom here")


def test_the_error_names_a_trick_that_fails_while_training(tmp_path: Path) -> None:
    words = Vocabulary([(("augment", "boom"), Offer("theirs", loaded=Boom))])
    words._offers |= Vocabulary.installed()._offers
    with pytest.raises(
        recipe.RecipeError, match="`augment boom` from theirs is broken: augment: ValueError: boom here"
    ):
        train(tmp_path / "x", "augment boom", plugins=words)


def test_a_teacher_that_cannot_process_the_images_is_reported_before_it_trains(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.recipe"
    teacher.write_text("base squeezenet1_1; data fake size=32 classes=10 images=24; batch 8; epochs 1")
    with pytest.raises(recipe.RecipeError, match="E103"):
        train(tmp_path / "runs" / "x", f'data fake size=8 classes=10 images=24; loss distill "{teacher}"')
    assert not (tmp_path / "runs").exists()


def test_keep_requires_at_least_one_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E118.*at least one checkpoint, not 0"):
        train(tmp_path / "run", checkpoints=0)


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_ended_before_its_first_step_does_not_block_its_folder(tmp_path: Path, resume: bool) -> None:
    with pytest.raises(RecipeError, match="E103"):  # a batch of one, which batch normalization can't process
        train(tmp_path / "run", "batch 1; data fake size=32 classes=10 images=24")
    assert (tmp_path / "run" / "recipe.lock").is_file()
    assert train(tmp_path / "run", "epochs 1", resume=resume).summary["steps"] == 3


def test_a_run_from_the_folder_of_a_run_is_named_like_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert command("run", f"{TINY}; epochs 1".replace("epochs 2; ", ""), "--device", "cpu").status == 0
    first, second = sorted((tmp_path / "runs").iterdir())
    assert second.name == f"{first.name}-2"
    assert command("run", second, "epochs 2", "--device", "cpu").status == 0
    assert {folder.name.partition("-")[0] for folder in (tmp_path / "runs").iterdir()} == {"run"}


def test_a_dry_run_says_what_resuming_would_do(tmp_path: Path) -> None:
    def dry(*statements: str) -> tuple[int, str]:
        done = command("run", TINY, *statements, "--resume", tmp_path / "run", "--dry-run", "--device", "cpu")
        return done.status, done.stderr

    assert "would" not in dry()[1]
    with pytest.raises(Interrupted):
        train(tmp_path / "run", listener=SendSignal(4), save_every="1", checkpoints=3)
    folder = tmp_path / "run" / "checkpoints"
    assert f"{tmp_path / 'run'} would resume at step 4; nothing was trained" in dry()[1]
    assert dry("lr 0.5")[0] == 2
    newest = folder / "step-000000004.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    before = sorted(path.name for path in folder.iterdir())
    assert "would resume at step 3, since 1 newer checkpoint can't be read" in dry()[1]
    assert sorted(path.name for path in folder.iterdir()) == before
    train(tmp_path / "run", resume=True)
    assert "has already finished; nothing was trained" in dry()[1]
