"""Time two recipes on this machine, in alternation: step time, images per second, and peak memory.

Each recipe trains in its own process, a few steps per request. Other load on the machine therefore affects both
equally, and each has its own peak memory.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from typing import Any

import attrs
import numpy as np
import torch

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import first_line
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.data.images import InMemory, Sets
from recipe.devices.choice import peak_memory, pick, repeatable
from recipe.devices.precision import precision
from recipe.graph.features import feature_node
from recipe.graph.net import Net
from recipe.inference.batches import Batch
from recipe.language.recipe_input import source_from
from recipe.plan.bind import bind
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary
from recipe.training.meters import Meter
from recipe.training.trainer import Trainer
from recipe.training.trial import step_seconds

ROUNDS = 9
STEPS = 2
MOST_ON_CPU = 32
"""Largest batch on a CPU. Ratios do not need a larger one."""


def measure(a: Plan, b: Plan, device: str | None, plugins: tuple[str, ...] = ()) -> dict[str, Any]:
    """Time two plans, which may need ``plugins``, on made-up images of their sizes.

    ``step_seconds`` is the median of the rounds; ``ratio`` has the median, lowest and highest B / A of the rounds.
    """
    chosen = pick(device)
    batch = min(a.training.batch, b.training.batch)
    batch = min(batch, MOST_ON_CPU) if chosen.type == "cpu" else batch
    task = {"batch": batch, "device": str(chosen), "plugins": plugins}
    workers = [_Worker({"recipe": plan.canonical(), "classes": plan.count("count_classes"), **task}) for plan in (a, b)]
    try:
        for worker in workers:
            worker.train()  # a warm-up, not counted
        rounds = [[worker.train()["seconds"] for worker in workers] for _ in range(ROUNDS)]
        peaks = [worker.train()["peak"] for worker in workers]
    finally:
        for worker in workers:
            worker.stop()
    ratios = [theirs / mine for mine, theirs in rounds]
    sides = {}
    for index, side in enumerate("ab"):
        seconds = statistics.median(times[index] for times in rounds)
        sides[side] = {"step_seconds": seconds, "images_per_second": batch / seconds, "peak_bytes": peaks[index]}
    return {
        **sides,
        "ratio": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        "batch": batch,
        "rounds": ROUNDS,
        "device": str(chosen),
    }


class _Worker:
    """A process that trains a plan a few steps at a time, on request."""

    def __init__(self, task: dict[str, Any]) -> None:
        command, pipe = [sys.executable, "-P", "-m", "recipe.compare.measure"], subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self._send(task)

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has exited, perhaps after reporting why
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def train(self) -> dict[str, Any]:
        """Train a few steps. Return the mean seconds of a step, and the peak memory so far in bytes."""
        self._send({})
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
        else:
            status = self.process.wait()
            ended = f"was killed by signal {-status}" if status < 0 else f"exited with code {status}"
            answer = {"failed": f"it {ended}"}
        if "failed" in answer:
            raise fail("E110", f"can't measure a recipe here: {answer['failed']}")
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@attrs.frozen(eq=False)
class _Silent:
    """A stand-in for a teacher, of the shapes of the student. A real teacher takes as long on either side."""

    student: Program
    device: torch.device

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(inputs), self.student.classes, device=self.device)

    def features(self, inputs: torch.Tensor, address: str) -> torch.Tensor:
        shape = feature_node(Net(self.student.structure), address).meta["shape"]
        return torch.zeros(len(inputs), *shape[1:], device=self.device)


def _serve() -> None:
    """Train a few steps for each line of standard input; the first line describes the task."""
    asked = json.loads(sys.stdin.readline())
    plan = bind([source_from(asked["recipe"])], Vocabulary.installed(asked["plugins"]))
    device, batch = pick(asked["device"]), asked["batch"]
    program = lower(plan, classes=asked["classes"])
    size, classes = program.costs.size, program.classes
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    images = InMemory(pixels, torch.arange(batch) % classes)
    chosen = precision(plan.training.precision, device).suited(program.narrow)

    teacher = _Silent(program, device)
    teachers = {value.digest: teacher for use in plan.uses for value in use.values.values() if hasattr(value, "digest")}
    trainer = Trainer.make(program, Sets(images, images, classes), device, chosen, teachers)
    trainer.model.train()
    meter = Meter.on(device)
    made = Batch(images.pixels, images.labels, np.arange(batch), 0, 0, batch)
    if device.type == "cuda":  # as the loader of a run does
        made = made.pin_memory()
    with repeatable(device):
        for _ in sys.stdin:
            batches = (attrs.evolve(made, step=trainer.step).to(device) for _ in range(STEPS))
            seconds = step_seconds(trainer, batches, meter)
            print(json.dumps({"seconds": seconds, "peak": peak_memory(device)}), flush=True)


if __name__ == "__main__":
    try:
        _serve()
    except Exception as error:  # a model's own code can raise anything; report the reason
        reason = error.diagnostics[-1].message if isinstance(error, RecipeError) else first_line(error)
        print(json.dumps({"failed": reason}), flush=True)
        sys.exit(1)
