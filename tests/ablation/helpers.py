"""Ablations with simulated runs, to test everything around the runs quickly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from recipe.ablation.cells.execute import Execution, Watcher
from recipe.ablation.cells.launchers import Handle
from recipe.ablation.cells.store import prepare
from recipe.ablation.preparing import study as prepared
from recipe.ablation.request import Request
from recipe.ablation.study import Study
from recipe.base import failure, files
from recipe.base.source import Source
from recipe.plan.bind import bind, resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import vocabulary

TEXT = "base resnet18; data fake size=32 classes=10 images=48; batch 8; epochs 2; lr 0.05 cosine; tweak D; loss smooth"
TABLE = ("table.md", "table.csv", "table.json", "chart.svg", "chart.png")
PLUGIN = '''"""augment dim"""
from recipe.api import Trick, trick

@trick("augment dim", writes=("inputs",))
class Dim(Trick):
    """Darken the images."""

    def augment(self, images, draws):
        return images * PART
'''


@attrs.define
class Done:
    """A command that has already ended, or that runs until it is stopped."""

    status: int | None
    stopped: bool = False

    def poll(self) -> int | None:
        return self.status

    def terminate(self) -> None:
        self.stopped, self.status = True, 143


@attrs.define
class MadeUp:
    """A launcher whose commands write a summary at once. The last digit of the plan's digest sets the result."""

    said: dict[str, tuple[int, str | Exception]] = attrs.field(factory=dict)
    """The cells that end differently, by name: their exit code, and what they print or the exception they fail with.

    A cell with exit code -1 runs until it is stopped.
    """
    again: bool = False
    """Whether they end that way each time they run, not only the first time."""
    precision: str = "fp32"
    words: Vocabulary = attrs.field(factory=vocabulary)
    ran: list[str] = attrs.field(factory=list)
    commands: list[list[str]] = attrs.field(factory=list)
    environments: list[Mapping[str, str]] = attrs.field(factory=list)
    handles: list[Done] = attrs.field(factory=list)

    def __call__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        folder = Path(command[command.index("--resume") + 1])
        name = f"{folder.parent.name}/{folder.name}"
        self.ran.append(name)
        self.commands.append([*command])
        self.environments.append(environment)
        status, ending = self.said.get(name, (0, ""))
        if not self.again:
            self.said.pop(name, None)
        log.write_text(str(ending))
        if isinstance(ending, Exception):
            failure.write(Path(environment[failure.VARIABLE]), ending)
        if status == 0:
            text = Path(command[command.index("run") + 1]).read_text()
            written = bind([Source("cell", text, Path.cwd())], self.words, data=True)
            assert written.digest == folder.name
            self.write(folder, int(folder.name[-1], 16) / 16, self.precision)
        self.handles.append(Done(None if status == -1 else status))
        return self.handles[-1]

    @staticmethod
    def write(folder: Path, result: float, precision: str = "fp32") -> None:
        """Write the files of a run of two epochs, at a median of 24 and 12 images per second."""
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        summary = {
            "schema_version": 1,
            "status": "finished",
            "digest": folder.name,
            "epochs": 2,
            "steps": 12,
            "loss": 1.0,
            "top1": result,
            "seconds": 1.0,
            "images_per_second": None,
            "training_images": 48,
            "peak_memory_bytes": 2**30,
            "params": 1,
            "macs": 1,
            "precision": precision,
            "device": "cpu",
            "processes": 1,
            "micro": None,
            "notes": [],
        }
        files.write_json(folder / "summary.json", summary)  # replaces whatever is there
        packages = {"recipe-compiler": "0.1.0", "torch": "2.11.0"}
        environment = {"packages": packages, "device_name": "", "threads": 2}
        (folder / "environment.json").write_text(json.dumps(environment))
        speeds = [(0.5, 1.0), (0.7, 24.0), (1.0, 1000.0), (2.0, 12.0)]
        means = {"loss": 1.0, "top1": 0.5, "lr": 0.1}
        lines = [
            {"kind": "train", "step": round(6 * epoch), "epoch": epoch, **means, "images_per_second": speed}
            for epoch, speed in speeds
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def study(
    recipe: str | Path | Plan,
    *statements: str,
    plugins: Vocabulary | Sequence[Path] = (),
    tell: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Study:
    """Prepare an ablation as `recipe.ablate` does. ``options`` are those of a `Request`."""
    request = Request(**options)
    return prepared(resolve(recipe, *statements, plugins=plugins, data=True), request, tell)


def made(out: Path, *statements: str, mode: str = "stack", seeds: int = 2, over: Sequence[str] = ()) -> Study:
    return study(TEXT, *statements, mode=mode, seeds=seeds, over=over, out=out, plugins=vocabulary())


def execute(one: Study, launcher: MadeUp, jobs: int = 1, watcher: Watcher | None = None) -> None:
    prepare(one.folder, one.tasks[0].folder, {})
    Execution(one.folder, launcher, jobs, (None,), None, (), watcher or Watcher()).run(one.tasks)
