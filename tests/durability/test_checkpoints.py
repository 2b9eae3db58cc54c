"""Checkpoints: tampering is harmless, folders are locked, and intervals are kept."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import load_file, save_file

import recipe
from recipe.api import Trick, trick
from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.devices.precision import precision
from recipe.runs import checkpoints as checkpoint
from recipe.runs.save_policy import SavePolicy
from recipe.runs.state import VERSION, TrainingState
from recipe.training import loop
from recipe.training.reporting import Listener
from recipe.training.setup import prepare
from recipe.training.trainer import Trainer
from recipe.training.trainer_state import restore, state_of
from tests.durability.trials import Cut, small
from tests.helpers import ROOT, command, vocabulary_with
from tests.training.helpers import TINY, weights_digest

TEXT = "data fake size=32 classes=10 images=24; batch 8; epochs 2; lr 0.05"


def train(out: Path, *statements: str, **options: Any) -> recipe.Run:
    return recipe.run(recipe.compile(TEXT, *statements, base=small()), out=out, device="cpu", **options)


class Call:
    """Pickles as a function call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _with(state: dict[str, Any], **changed: Any) -> bytes:
    packed = io.BytesIO()
    torch.save({**state, **changed}, packed)
    return checkpoint.seal(packed.getvalue())


def _rezipped(data: bytes, change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return checkpoint.seal(packed.getvalue())


def _flipped(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        content = archive.read(largest)
    damaged = bytearray(data)
    damaged[data.index(content) + len(content) // 2] ^= 1
    return bytes(damaged)


EVIL = {
    "os.system": lambda flag: Call(os.system, f"touch {flag}"),
    "subprocess": lambda flag: Call(subprocess.check_call, ["touch", flag]),
    "eval": lambda flag: Call(eval, f"open({flag!r}, 'w')"),
    "exec": lambda flag: Call(exec, f"open({flag!r}, 'w')"),
    "open": lambda flag: Call(open, flag, "w"),
    "torch.load": lambda flag: Call(torch.load, flag),
    "getattr": lambda flag: Call(getattr, str, "mro"),
    "import": lambda flag: Call(__import__, "antigravity"),
}
BROKEN: dict[str, Callable[[bytes, dict[str, Any]], bytes]] = {
    "empty": lambda data, state: b"",
    "cut short": lambda data, state: data[: len(data) // 2],
    "a bit flipped": lambda data, state: _flipped(data),
    "noise": lambda data, state: os.urandom(4096),
    "compressed": lambda data, state: _rezipped(data, lambda name, part: part, zipfile.ZIP_DEFLATED),
    "a plain pickle": lambda data, state: pickle.dumps(state["step"]),
    "a list": lambda data, state: _with({}, x=[1]),
    "a step that is text": lambda data, state: _with(state, step="9"),
    "a step below zero": lambda data, state: _with(state, step=-1),
    "no model": lambda data, state: _with(state, model=None),
    "a model of numbers": lambda data, state: _with(state, model={"conv1.weight": 3}),
    "no steps an epoch": lambda data, state: _with(state, steps_per_epoch=0),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> recipe.Run:
    return train(tmp_path_factory.mktemp("finished") / "run")


@pytest.mark.parametrize("name", [*EVIL, *BROKEN])
def test_a_checkpoint_that_was_tampered_with_runs_nothing_and_is_skipped(
    tmp_path: Path, finished: recipe.Run, name: str
) -> None:
    train(tmp_path / "run", save_every="2", checkpoints=2)
    flag = str(tmp_path / "ran")
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    state = torch.load(newest, weights_only=True)
    if name in EVIL:
        newest.write_bytes(_with(state, notes=[EVIL[name](flag)]))
    else:
        newest.write_bytes(BROKEN[name](newest.read_bytes(), state))
    told: list[str] = []

    class Listening(Listener):
        def note(self, text: str) -> None:
            told.append(text)

    run = train(tmp_path / "run", resume=True, listener=Listening())
    assert not Path(flag).exists()
    assert weights_digest(run.model) == weights_digest(finished.model)
    assert any("was renamed to" in note for note in told)
    assert newest.with_name(f"{newest.name}.unreadable").exists()


def test_without_a_readable_checkpoint_the_run_restarts_from_scratch(tmp_path: Path, finished: recipe.Run) -> None:
    train(tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.write_bytes(b"")
    run = train(tmp_path / "run", resume=True)
    assert weights_digest(run.model) == weights_digest(finished.model)
    assert [path.name for path in checkpoint.saved_in(run.folder / "checkpoints")] == [
        "step-000000003.pt",
        "step-000000006.pt",
    ]


def test_a_checkpoint_that_the_disk_fails_to_read_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "run")
    read = files.read

    def fails(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(files, "read", lambda path, most=0: fails(path) if path.suffix == ".pt" else read(path))
        with pytest.raises(RecipeError, match=r"E001.*input/output error"):
            train(tmp_path / "run", resume=True)
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*.pt"))) == 2


def test_a_run_that_goes_back_to_an_earlier_step_keeps_its_checkpoints(tmp_path: Path) -> None:
    """With larger batches an epoch has fewer steps, so new checkpoints can have lower numbers than old ones."""
    train(tmp_path / "run", "epochs 3")
    run = train(tmp_path / "run", "epochs 6; batch 24", resume=True, allow_changed=True, checkpoints=9)
    assert run.summary["steps"] == 6
    assert "an epoch now has 1 step, not 3: the epoch restarts from scratch" in run.summary["notes"]
    assert [path.name for path in sorted((run.folder / "checkpoints").iterdir())] == [
        f"step-{step:09d}.pt" for step in (3, 4, 5, 6)
    ]
    epochs = [line["epoch"] for line in run.metrics if line["kind"] == "evaluation"]
    assert epochs == [1, 2, 3, 4, 5, 6]


def test_a_state_with_other_shapes_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "run")
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    state = torch.load(newest, weights_only=True)
    state["model"]["conv1.weight"] = torch.zeros(1)
    newest.write_bytes(_with(state))
    with pytest.raises(RecipeError, match="E113"):
        train(tmp_path / "run", resume=True)


@pytest.mark.parametrize("error", [AttributeError("no such field"), KeyError("step"), TypeError("not callable")])
def test_a_mistake_of_our_own_is_not_taken_for_another_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    train(tmp_path / "run")

    def fails(trainer: Trainer, state: TrainingState, changed: bool = False) -> list[str]:
        raise error

    monkeypatch.setattr(loop, "restore", fails)
    with pytest.raises(type(error)):
        train(tmp_path / "run", resume=True)


@pytest.mark.parametrize("version", [None, VERSION + 1])
def test_a_checkpoint_of_another_version_is_refused_and_left_alone(tmp_path: Path, version: int | None) -> None:
    """A checkpoint without a version was written before there were versions."""
    train(tmp_path / "run", "epochs 1")
    (tmp_path / "run" / "summary.json").unlink()
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    state = torch.load(newest, weights_only=True)
    del state["version"]
    newest.write_bytes(_with(state if version is None else {**state, "version": version}))
    before = newest.read_bytes()
    with pytest.raises(RecipeError, match=rf"E113.*this release of recipe reads version {VERSION}"):
        train(tmp_path / "run", "epochs 1", resume=True)
    assert newest.read_bytes() == before


def test_a_checkpoint_of_version_1_is_refused_and_left_alone(tmp_path: Path) -> None:
    """It was written before checkpoints had a digest."""
    train(tmp_path / "run", "epochs 1")
    (tmp_path / "run" / "summary.json").unlink()
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    torch.save({**torch.load(newest, weights_only=True), "version": 1}, newest)
    before = newest.read_bytes()
    with pytest.raises(RecipeError, match=r"E113.*has format version 1, but this release of recipe reads version 2"):
        train(tmp_path / "run", "epochs 1", resume=True)
    assert newest.read_bytes() == before


def test_weights_that_do_not_fit_leave_no_trace_in_the_training_that_replaces_them(tmp_path: Path) -> None:
    """The run is finished and has no checkpoints, like those of an ablation."""
    text = "base shufflenet_v2_x0_5; data fake size=32 classes=10 images=16; batch 8; epochs 1; lr 0.01"
    run = recipe.run(text, out=tmp_path / "run", device="cpu")
    trained = weights_digest(run.model)
    shutil.rmtree(run.folder / "checkpoints")
    weights = load_file(run.folder / "model.safetensors")
    last = [name for name in weights if name.endswith("weight")][-1]
    save_file({**weights, last: torch.zeros(1)}, run.folder / "model.safetensors")
    assert weights_digest(recipe.run(text, out=tmp_path / "run", device="cpu", resume=True).model) == trained


def test_a_checkpoint_that_lacks_a_field_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Checkpoints that were written before the field was added lack it."""
    train(tmp_path / "run", "epochs 1")
    (tmp_path / "run" / "summary.json").unlink()
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    state = torch.load(newest, weights_only=True)
    del state["notes"]
    newest.write_bytes(_with(state))
    before = newest.read_bytes()
    with pytest.raises(RecipeError, match=r"E113.*has no `notes`"):
        train(tmp_path / "run", "epochs 1", resume=True)
    assert newest.read_bytes() == before


def test_the_schema_of_a_checkpoint_changes_only_with_its_version() -> None:
    fields = {
        "digest plugins step steps_per_epoch training_images micro model optimizer optimizer_kind scaler average",
        "meters epoch_evaluated skipped notes",
        "evaluations best",  # which a checkpoint of this version may lack
    }
    assert (VERSION, {field.name for field in attrs.fields(TrainingState)}) == (2, set(" ".join(fields).split()))


def test_a_state_is_read_back_unchanged() -> None:
    state = state_of(trainer_of())
    meters = [{"loss": 0.5, "correct": 1, "images": 2}]
    content = {**state.to_dict(), "meters": meters}
    again = TrainingState.from_dict(content).to_dict()
    assert again.keys() == content.keys()
    assert again["meters"] == meters
    assert all(again[name] is content[name] for name in ("step", "digest", "model", "optimizer"))


@pytest.mark.parametrize(
    ("save_every", "keep", "steps"),
    [("epoch", 2, [3, 6]), ("2", 2, [4, 6]), ("1", 4, [3, 4, 5, 6]), ("4", 9, [4, 6]), ("1h", 9, [6])],
)
def test_checkpoints_are_saved_and_kept_as_requested(
    tmp_path: Path, save_every: str, keep: int, steps: list[int]
) -> None:
    run = train(tmp_path / "run", save_every=save_every, checkpoints=keep)
    assert sorted(path.name for path in (run.folder / "checkpoints").iterdir()) == [f"step-{n:09d}.pt" for n in steps]


def test_checkpoints_are_saved_by_the_clock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SavePolicy, "late", lambda self, saved: True)
    run = train(tmp_path / "run", save_every="1h", checkpoints=9)
    assert len(list((run.folder / "checkpoints").iterdir())) == 6


@pytest.mark.parametrize("text", ["never", "", "0", "-1", "0m", "1.5", "epoch,", "5d"])
def test_an_invalid_interval_is_rejected(text: str) -> None:
    with pytest.raises(RecipeError, match="E118"):
        SavePolicy.of(text)


HOLD = """
import sys, time
from pathlib import Path
from recipe.runs.exclusive import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_in_use_is_refused_until_its_process_has_ended(tmp_path: Path) -> None:
    folder = train(tmp_path / "run", "epochs 1").folder
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RecipeError, match=rf"E116.*process {other.pid}"):
            train(folder, "epochs 1", resume=True)
        other.kill()
        other.wait()
    assert train(folder, "epochs 1", resume=True).summary["steps"] == 3
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {**before, ".lock": b""} == {**after, ".lock": b""}


@pytest.mark.parametrize("damage", ["removed", "damaged"])
def test_a_changed_recipe_never_restarts_a_run_without_a_checkpoint(tmp_path: Path, damage: str) -> None:
    """That would replace the trained weights, although it is to resume with them."""
    folder = recipe.run(TINY, "epochs 1", out=tmp_path / "run", device="cpu").folder
    for path in (folder / "checkpoints").iterdir():
        path.unlink() if damage == "removed" else path.write_bytes(path.read_bytes()[:-9])
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for more in ((), ("--dry-run",)):
        refused = command("run", TINY, "epochs 2", "--resume", folder, "--allow-changed", "--device", "cpu", *more)
        assert refused.status == 2
        assert "error[E113]" in refused.stderr
        assert "has no checkpoint to resume from" in refused.stderr
        assert f"the weights in `{folder}/model.safetensors`" in refused.stderr
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert recipe.run(TINY, "epochs 1", out=folder, device="cpu", resume=True).summary["steps"] == 3
    assert (folder / "model.safetensors").read_bytes() == before["model.safetensors"]


def test_a_changed_recipe_is_shown_and_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    text = "base shufflenet_v2_x0_5; data fake size=32 classes=10 images=24; batch 8; lr 0.02"
    folder = tmp_path / "run"
    assert command("run", text, "epochs 1", "--out", folder, "--device", "cpu").status == 0
    refused = command("run", text, "epochs 2; lr 0.01", "--resume", folder, "--device", "cpu")
    assert refused.status == 2
    assert "of another recipe: ~ epochs count 1 → 2 (" in refused.stderr
    assert "; ~ lr rate 0.02 → 0.01 (" in refused.stderr
    assert "\\n" not in refused.stderr
    assert "--allow-changed" in refused.stderr
    gone_on = command("run", text, "epochs 2; lr 0.01", "--resume", folder, "--allow-changed", "--device", "cpu")
    assert gone_on.status == 0, gone_on.stderr
    (note,) = (line for line in gone_on.stderr.splitlines() if line.startswith("the recipe has changed from step 3 on"))
    assert "; ~ lr rate 0.02 → 0.01 (" in note
    assert "\\n" not in gone_on.stderr
    assert note in json.loads((folder / "summary.json").read_text())["notes"]
    assert "lr rate=0.02" in (folder / "recipe-until-000000003.lock").read_text()
    over = command("run", text, "epochs 1; lr 0.02", "--resume", folder, "--allow-changed", "--device", "cpu")
    assert over.status == 2
    assert "is already over under the changed recipe: it has done 6 steps" in over.stderr
    assert json.loads((folder / "summary.json").read_text())["epochs"] == 2
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 8
    assert '"lr": 0.01' in lines[-2]


def test_a_run_resumes_from_its_folder_alone(tmp_path: Path) -> None:
    text = "base shufflenet_v2_x0_5; data fake size=32 classes=10 images=24; batch 8; lr 0.01; epochs 1"
    folder = tmp_path / "run"
    assert command("run", text, "--out", folder, "--device", "cpu").status == 0
    for words in (["--resume", folder], [folder, "--resume"]):
        (folder / "summary.json").unlink()
        found = command("run", *words, "--device", "cpu")
        assert found.status == 0, found.stderr
        assert (folder / "summary.json").exists()
    missing = command("run", "--resume", tmp_path / "none")
    assert missing.status == 2
    assert "no run found in" in missing.stderr


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux to mount a small disk")
@pytest.mark.usefixtures("unhurried")
def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(RecipeError, match="E111"):
            train(disk / "run", save_every="1", checkpoints=50)
        saved = sorted((disk / "run" / "checkpoints").glob("step-*.pt"))
        assert saved
        for path in saved:
            checkpoint.unpack(path.read_bytes(), torch.device("cpu"))
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        whole = train(tmp_path / "whole")
        assert weights_digest(train(disk / "run", resume=True).model) == weights_digest(whole.model)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(RecipeError, match="E111"):
            train(disk / "other")
        with pytest.raises(RecipeError, match="E111"):
            train(disk / "run", resume=True)
    finally:
        time.sleep(0.1)
        subprocess.run(["umount", str(disk)], check=True)


def test_a_dataset_of_another_size_restarts_the_epoch_and_is_noted(tmp_path: Path) -> None:
    """The plan is the same, but the source, such as a folder, may now contain other images."""
    statements = ("batch 10",)  # three steps per epoch of 24 images, and of 23
    with pytest.raises(recipe.Interrupted):
        train(tmp_path / "run", *statements, listener=Cut("first step"))
    one = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    state = torch.load(one, weights_only=True)
    one.write_bytes(_with(state, training_images=23))
    run = train(tmp_path / "run", *statements, resume=True)
    assert "there are now 24 training images, not 23: the epoch restarts from scratch" in run.summary["notes"]
    assert [line["step"] for line in run.metrics if line["kind"] == "train"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("optimizer", ["nag", "adamw", "lars"])
@pytest.mark.parametrize(("before", "after"), [("channels-last", "contiguous"), ("contiguous", "channels-last")])
def test_the_state_of_the_optimizer_stays_with_its_weights_in_another_layout(
    tmp_path: Path, optimizer: str, before: str, after: str
) -> None:
    """Fused optimizers pair weights and their state by their places in memory."""
    statements = f"optimizer {optimizer}; layout {{}}"
    with pytest.raises(recipe.Interrupted):
        train(tmp_path / "run", statements.format(before), listener=Cut("mid-epoch"))
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    saved = torch.load(newest, weights_only=True)
    trainer = trainer_of(statements.format(after))
    restore(trainer, TrainingState.from_dict(saved), changed=True)
    weights = trainer.update.optimizer.param_groups[0]["params"]
    kept = {name for state in trainer.update.optimizer.state.values() for name in state}
    assert kept > {"exp_avg", "exp_avg_sq"} if optimizer == "adamw" else kept == {"momentum_buffer"}
    for number, weight in enumerate(weights):
        for name, value in trainer.update.optimizer.state[weight].items():
            assert torch.equal(value, saved["optimizer"]["state"][number][name]), name
            assert value.ndim == 0 or value.stride() == weight.stride(), name


@trick("optimizer counting", writes=("optimizer",))
class Counting(Trick):
    """Use an optimizer that counts its updates. torch allows such state, which belongs to no parameter."""

    def optimize(self, groups: Any, rate: float) -> torch.optim.Optimizer:
        class Counted(torch.optim.SGD):
            def step(self, closure: Any = None) -> Any:
                self.state["all"]["updates"] = updates = self.state["all"].get("updates", 0) + 1
                self.param_groups[0]["lr"] /= updates
                return super().step(closure)

        return Counted(groups, lr=rate, momentum=0.9)


def test_optimizer_state_that_belongs_to_no_parameter_is_resumed(tmp_path: Path) -> None:
    words = vocabulary_with(Counting)
    program = recipe.compile(TEXT, "optimizer counting", base=small(), plugins=words)
    whole = recipe.run(program, out=tmp_path / "whole", device="cpu", plugins=words)
    with pytest.raises(recipe.Interrupted):
        recipe.run(program, out=tmp_path / "cut", device="cpu", plugins=words, listener=Cut("mid-epoch"))
    resumed = recipe.run(program, out=tmp_path / "cut", device="cpu", plugins=words, resume=True)
    assert weights_digest(resumed.model) == weights_digest(whole.model)


def trainer_of(*statements: str) -> Trainer:
    program = recipe.compile(TEXT, *statements, base=small())
    sets, program = prepare(program.plan, program)
    return Trainer.make(program, sets, torch.device("cpu"), precision("fp32", torch.device("cpu")), {})


def test_a_file_is_synced_before_it_replaces_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content comes first, then the name, so that a power cut leaves either the old file or the new one."""
    done: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append("folder" if _is_folder(descriptor) else "file"))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names)))
    state = state_of(trainer_of())
    done.clear()
    checkpoint.save(tmp_path, state, keep=1)
    assert done == ["file", "rename", "folder"]


def _is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)
