"""The printed command that resumes a run: typed as printed, it has the options that the run was started with."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from recipe.base.signals import Interrupted
from recipe.cli.run import command
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.save_policy import SavePolicy
from recipe.training.resuming import resume_options
from tests.helpers import bind

PLUGIN = '''"""augment dim"""
from recipe.api import Trick, trick

@trick("augment dim", writes=("inputs",))
class Dim(Trick):
    """Take light away."""
'''


def typed(line: str) -> dict[str, Any]:
    """Return the options of `recipe run` after a shell has split a line."""
    assert line.isprintable()
    split = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    program, name, *arguments = split.decode("utf-8", "surrogateescape").split("\0")[:-1]
    assert (program, name) == ("recipe", "run")
    with click.Context(command) as parent:
        return dict(command.make_context("run", arguments, parent).params)


FOLDERS = [
    "runs/a", "-x", "--out", "my runs/it's", "a\nb", "a\x1b[31m", "$HOME", "base resnet18; seed 1", "\udcff", "full",
]  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_any_folder_can_be_typed(folder: str) -> None:
    said = str(Interrupted(15, Path(folder), 3))
    assert Path(typed(said.partition("resume with: ")[2])["resume"]) == Path(folder)


@pytest.mark.parametrize(
    ("save_every", "keep", "device", "strict", "processes"),
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
    save_every: str, keep: int, device: str | None, strict: bool, processes: int, tmp_path: Path
) -> None:
    file = tmp_path / "-dim it.py"
    file.write_text(PLUGIN)
    policy = SavePolicy.of(save_every, keep)
    uses = bind("base resnet18; augment dim", words=Vocabulary.installed([file])).uses
    options = resume_options(uses, policy, device=device, strict=strict, processes=processes)
    found = typed(str(Interrupted(2, tmp_path, 3, options)).partition("resume with: ")[2])
    assert SavePolicy.of(found["save_every"], found["keep"]) == policy
    assert found["device"] == device
    assert found["strict"] == strict
    assert found["nproc"] == (processes if processes > 1 else None)
    assert found["plugins"] == (str(file),)
    assert (found["file"], found["statements"], found["resume"]) == (None, (), str(tmp_path))


def test_a_run_with_the_defaults_needs_no_options() -> None:
    uses = bind("base resnet18").uses
    assert resume_options(uses, SavePolicy(), device=None, strict=False, processes=1) == ()
