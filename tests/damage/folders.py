"""The folders that are damaged, made once: a finished run, a stopped one, an ablation, and a cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recipe.ablation.cells import execute, launchers
from recipe.ablation.report import chart
from recipe.training import estimate
from recipe.training.reporting import Listener
from recipe.training.runtime import Runtime
from tests.helpers import command

RECIPE = "base timm:test_efficientnet; data fake classes=4 images=32 size=32; batch 16; epochs 2; lr 0.01; ema 0.9"
ABLATION = ("ablate", RECIPE, "loss smooth", "--mode", "drop", "--over", "loss smooth", "--seeds", "1")
DEVICE = ("--device", "cpu")


class _Stop(Exception):
    """The training stops, as if it were killed after a checkpoint."""


class _Stopping(Listener):
    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        if step == 4:
            raise _Stop


class _Done:
    """A launched command that has ended."""

    def __init__(self, status: int) -> None:
        self.status = status

    def poll(self) -> int:
        return self.status

    def terminate(self) -> None: ...


def here(words: list[str], log: Path, environment: dict[str, str]) -> _Done:
    """Launch a command in this process, instead of in one of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        done = command(*words[words.index("recipe") + 1 :])
    log.write_text(done.stdout + done.stderr)
    return _Done(done.status)


def in_haste(patch: pytest.MonkeyPatch) -> None:
    """Train cells in this process, and neither sync files nor draw charts."""
    patch.setattr(os, "fsync", lambda descriptor: None)
    patch.setattr(Runtime, "draw", lambda self, folder: None)
    patch.setattr(chart, "_draw", lambda table, folder: None)
    patch.setattr(launchers, "here", here)
    patch.setattr(execute, "POLL", 0.0)
    patch.setattr(estimate, "PATIENCE", 0.0)


def make(root: Path) -> None:
    """Make the folders below a folder."""
    import recipe

    os.environ["RECIPE_CACHE"] = str(root / "cache")
    done = command("run", RECIPE, "--out", root / "finished", *DEVICE)
    assert done.status == 0, done.stderr
    try:
        recipe.run(RECIPE, out=root / "stopped", device="cpu", save_every="1", checkpoints=3, listener=_Stopping())
    except _Stop:
        pass
    else:
        raise AssertionError("the training was not stopped")
    for words in (("diff", RECIPE, f"{RECIPE}; loss smooth"), (*ABLATION, "--out", root / "ablation", *DEVICE)):
        done = command(*words)
        assert done.status in (0, 1), done.stderr
