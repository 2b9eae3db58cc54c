"""Completion by a shell: commands, recipes, runs, and words inside a quoted statement, without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.language.recipe_input import LOCK

ANSWER = "import sys, recipe.cli\ntry: recipe.cli.main()\nfinally: print('torch' in sys.modules, file=sys.stderr)"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with a recipe and a run, and return it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.recipe").touch()
    for folder in ("runs/one", "runs/study/two", "other"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / LOCK).touch()
    return tmp_path


def asked(*words: str, shell: str = "bash") -> list[str]:
    """Return the answer of the program to a shell in which these words are typed, the last one in part."""
    typed = ["recipe", *words]
    env = {**os.environ, "_RECIPE_COMPLETE": f"{shell}_complete", "COMP_WORDS": "\n".join(typed)}
    env["COMP_CWORD"] = words[-1] if shell == "fish" else str(len(typed) - 1)
    done = subprocess.run([sys.executable, "-c", ANSWER], capture_output=True, text=True, env=env)
    assert done.stderr == "False\n"
    assert done.returncode == 0
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["expl"], ["plain,explain"]),
        (["run", "--dev"], ["plain,--device"]),
        (["run", ""], "distill first full quick teacher mine.recipe other runs/one runs/study/two".split()),
        (["run", "runs/o"], ["plain,runs/one"]),
        (["explain", "paper/base"], ["plain,paper/baseline"]),
        (["run", "elsewhere/x"], ["file,elsewhere/x"]),
        (["run", "'base resnet15"], ["plain,base resnet152"]),
        (["run", "first", "'lr 0.1 war"], ["plain,lr 0.1 warmup"]),
        (["evaluate", "runs/one", '"loss smooth over=al'], ["plain,loss smooth over=all"]),
        (["diff", "first", "+", "'precision b"], ["plain,precision bf16"]),
        (["diff", "first", "fu"], ["plain,full"]),
        (["ablate", "first", "--over", "'tweak blur"], ["plain,tweak blurpool"]),
        (["export", "oth"], ["plain,other"]),
        (["export", "other", "--to", "saf"], ["plain,safetensors"]),
        (["log", "other", "--to", "tensor"], ["plain,tensorboard"]),
        (["predict", "runs/one", "cat.j"], ["file,cat.j"]),
        (["tricks", "augm"], ["plain,augment"]),
        (["tricks", "lr", "wa"], ["plain,warmup"]),
    ],
)  # fmt: skip
def test_bash_gets_what_can_follow(words: list[str], found: list[str], here: Path) -> None:
    assert asked(*words) == [word if "," in word else f"plain,{word}" for word in found]


def test_zsh_and_fish_get_the_same(here: Path) -> None:
    for shell in ("zsh", "fish"):
        assert any("lr 0.1 warmup" in line for line in asked("run", "first", "'lr 0.1 war", shell=shell))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_that_it_understands(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    env = {**os.environ, "_RECIPE_COMPLETE": f"{shell}_source"}
    done = subprocess.run([sys.executable, "-m", "recipe"], capture_output=True, text=True, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    script = tmp_path / "script"
    script.write_text(done.stdout)
    subprocess.run([shell, "-n", script], check=True)
