"""The printed command that resumes a run: typed as printed, it has the options that the run was started with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import recipe
from recipe.base.caller import commanding
from recipe.base.errors import RecipeError
from recipe.base.signals import Interrupted
from recipe.cli.run import _arguments, _resumed
from recipe.cli.run import command as run_command
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.checkpoints import saved_in
from recipe.runs.save_policy import SavePolicy
from recipe.runs.time_limit import TimeLimit
from recipe.training.resuming import resume_options
from tests.helpers import ROOT, bind, command
from tests.training.helpers import TINY, train

PLUGIN = '''"""augment dim"""
from recipe.api import Trick, trick

@trick("augment dim", writes=("inputs",))
class Dim(Trick):
    """Take light away."""
'''


def words(line: str) -> list[str]:
    """Return the words into which a shell splits a line."""
    assert line.isprintable()
    split = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    return split.decode("utf-8", "surrogateescape").split("\0")[:-1]


def typed(line: str) -> dict[str, Any]:
    """Return the options of `recipe run` after a shell has split a line."""
    program, name, *arguments = words(line)
    assert (program, name) == ("recipe", "run")
    return parsed(arguments)


def parsed(arguments: list[str]) -> dict[str, Any]:
    with click.Context(run_command) as parent:
        return dict(run_command.make_context("run", [*arguments], parent).params)


FOLDERS = [
    "runs/a", "-x", "--out", "my runs/it's", "a\nb", "a\x1b[31m", "$HOME", "base resnet18; seed 1", "\udcff", "full",
]  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_any_folder_can_be_typed(folder: str) -> None:
    with commanding():
        said = str(Interrupted(15, Path(folder), 3))
    assert Path(typed(said.partition("resume with: ")[2])["resume"]) == Path(folder)


def test_a_run_folder_is_resumed_in_python_as_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As typed after `resume with:`."""
    monkeypatch.chdir(tmp_path)
    ended = train(Path("runs/nb"), max_time="0.001s")
    assert ended.summary["status"] == "ended early"
    for given in ("runs/nb", Path("runs/nb")):
        resumed = recipe.run(given, resume=True, device="cpu")
        assert (resumed.folder, resumed.summary["status"]) == (Path("runs/nb"), "finished")
    assert os.listdir("runs") == ["nb"]
    assert recipe.run("runs/nb", device="cpu", out="runs/other").folder == Path("runs/other"), "without resume"


@pytest.mark.parametrize(
    ("save_every", "checkpoints", "device", "strict", "processes"),
    [
        ("epoch,10m", 2, None, False, 1),
        ("epoch", 1, "cpu", True, 1),
        ("500", 1000, "cuda:1", False, 1),
        ("1.5h", 2, None, True, 8),
        ("0.25s,7,epoch", 3, "cpu", True, 2),
        ("999999999h", 2, None, False, 1),
    ],
)
def test_every_option_is_kept(
    save_every: str, checkpoints: int, device: str | None, strict: bool, processes: int, tmp_path: Path
) -> None:
    file = tmp_path / "-dim it.py"
    file.write_text(PLUGIN)
    policy = SavePolicy.of(save_every, checkpoints)
    uses = bind("base resnet18; augment dim", words=Vocabulary.installed([file])).uses
    trackers, limit = ("csv", "-x", "csv"), TimeLimit(90.0)
    options = resume_options(
        uses, policy, device=device, strict=strict, processes=processes, limit=limit, trackers=trackers
    )
    with commanding():
        said = str(Interrupted(2, tmp_path, 3, options))
    found = typed(said.partition("resume with: ")[2])
    assert SavePolicy.of(found["save_every"], found["checkpoints"]) == policy
    assert found["device"] == device
    assert found["max_time"] == "90s"
    assert found["trackers"] == ("csv", "-x")
    assert found["strict"] == strict
    assert found["nproc"] == (processes if processes > 1 else None)
    assert found["plugins"] == (str(file),)
    assert (found["file"], found["statements"], found["resume"]) == (None, (), str(tmp_path))


def test_a_run_with_the_defaults_needs_no_options() -> None:
    uses = bind("base resnet18").uses
    assert resume_options(uses, SavePolicy(), device=None, strict=False, processes=1) == ()


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_help_for_a_folder_without_a_run_can_be_typed(folder: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        _resumed(None, (), None, folder)
    (error,) = caught.value.diagnostics
    line = error.help.partition("there: ")[2].replace("FILE", "first")
    found = typed(line)
    assert (found["file"], Path(found["resume"])) == ("first", Path(folder))


@pytest.mark.parametrize("file", ["full", "-x.recipe", "--out", "base resnet18; seed 1", "a\nb", "a b.recipe"])
def test_each_of_several_processes_gets_the_same_options(file: str) -> None:
    given = [
        "--resume=runs/x",
        "--allow-changed",
        "--strict",
        "--save-every=7",
        "--checkpoints=3",
        "--max-time=2h",
        "--nproc=2",
    ]
    given += ["--device=cpu", "--plugin=-a.py", "--plugin=b c.py", "--", file, "seed 2", "-1"]
    with run_command.make_context("run", [*given]):
        made = _arguments(file, ("seed 2", "-1"), "-out", True)
    found, before = parsed(made[1:]), parsed(given)
    assert made[0] == "run"
    assert {**found, "resume": before["resume"], "nproc": 2, "out": None} == before
    assert (found["resume"], found["out"]) == ("", "-out")


@pytest.mark.parametrize("folder", ["-x", "my package", "it's", "a\nb"])
def test_the_next_steps_of_a_new_package_can_be_typed(folder: str, tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "recipe", "new", "plugin", "shine", f"--out={folder}"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    line = found.stdout.splitlines()[-1].removeprefix("next: ").partition(" && ")[0]
    assert subprocess.run(["bash", "-c", f"{line} && ls"], cwd=tmp_path, capture_output=True, text=True).returncode == 0


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run whose initial weights are gone."""
    root = tmp_path_factory.mktemp("fine-tuned")
    train(root / "first")
    train(root / "run", text=TINY.replace("test_resnet", f'test_resnet weights="{root / "first"}"'))
    shutil.rmtree(root / "first")
    return root / "run"


def stopped(run: Path, folder: Path, *, checkpoint: bool = True) -> Path:
    """Return a copy of a run that was stopped after its first epoch, or before its first checkpoint."""
    shutil.copytree(run, folder)
    saved = saved_in(folder / "checkpoints")
    for file in (folder / "summary.json", folder / "model.safetensors", *(saved[-1:] if checkpoint else saved)):
        file.unlink()
    return folder


def test_a_run_resumes_without_its_initial_weights_with_the_same_bits(fine_tuned: Path, tmp_path: Path) -> None:
    folder = stopped(fine_tuned, tmp_path / "run")
    dry = command("run", "--resume", folder, "--dry-run", "--device", "cpu")
    assert "the initial weights are not needed to resume: file not found" in dry.stderr
    assert "would resume at step 3" in dry.stderr
    assert command("run", "--resume", folder, "--device", "cpu").status == 0
    for name in ("model.safetensors", "data.json"):
        assert (folder / name).read_bytes() == (fine_tuned / name).read_bytes()
    again = command("run", "--resume", folder, "--device", "cpu")
    assert (again.status, "has already finished" in again.stderr) == (0, True)


def test_without_a_checkpoint_the_initial_weights_are_needed(fine_tuned: Path, tmp_path: Path) -> None:
    folder = stopped(fine_tuned, tmp_path / "run", checkpoint=False)
    for words in (["--dry-run"], []):
        done = command("run", "--resume", folder, *words, "--device", "cpu")
        assert (done.status, "error[E001]: file not found" in done.stderr) == (2, True)
