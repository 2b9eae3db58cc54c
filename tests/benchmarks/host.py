"""Measure the host overhead of a step: compare training with a plain loop on a network too small to compute much.

Run it on an idle machine, from the root of the repository: python -m tests.benchmarks.host [ROUNDS]
With ResNet-50-D's structure at a sixteenth of its width, 32 × 32 pixels, batches of 2, fp32 and one thread, most of the
time goes into dispatching operations. The sides take turns of a few steps; each ratio is within a round.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
import torch.nn.functional as F

from recipe.compiler.api import compile
from recipe.devices.choice import repeatable
from recipe.devices.precision import precision
from recipe.training.trainer import Trainer
from tests.benchmarks.clocks import Turn, ratio, seconds, turns
from tests.benchmarks.rewritten import handwritten
from tests.benchmarks.settings import Settings
from tests.benchmarks.timed import made_up, stepping

WIDTH, SIDE, CLASSES, BATCH = 4, 32, 10, 2
STEPS = 10
CPU = torch.device("cpu")
BARE = (
    f"data fake size={SIDE} classes={CLASSES} workers=0; batch {BATCH}; epochs 1000; lr 0.01; optimizer nag; "
    "decay 1e-4; layout channels-last; precision fp32"
)
TRICKS = (
    "init zero-gamma; augment crop flip jitter pca-noise mixup; loss smooth; decay 1e-4 no-bias; lr warmup 5 cosine; "
    "ema 0.999; clip 1"
)
"""All tricks of the paper that need no teacher, plus a moving average and clipping."""


def plain() -> Turn:
    """Return turns of the shortest loop in plain PyTorch, with the same optimizer as the others."""
    model = handwritten(WIDTH, CLASSES).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True)
    images = torch.randn(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH)

    def step() -> None:
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return partial(seconds, step, STEPS, CPU)


def trained(*statements: str) -> Turn:
    """Return turns of training the same network on a batch in memory."""
    program = compile(BARE, *statements, base=handwritten(WIDTH, CLASSES))
    batch, sets = made_up(BATCH, SIDE, CLASSES, CPU)
    trainer = Trainer.make(program, sets, CPU, precision("fp32", CPU), {})
    trainer.model.train()
    return partial(seconds, stepping(trainer, batch), STEPS, CPU)


def host(settings: Settings, device: torch.device = CPU) -> list[str]:
    """Return the measurement as lines of Markdown. Dispatching costs the CPU the same for any device."""
    rounds, threads = settings.host_rounds, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with repeatable(CPU):
            taken = turns({"a plain loop": plain(), "no tricks": trained(), "all tricks": trained(TRICKS)}, rounds)
    finally:
        torch.set_num_threads(threads)
    lines = [
        "### What a step costs the host",
        "",
        f"ResNet-50-D's structure at 1/16 of its width, {SIDE} × {SIDE} pixels, batches of {BATCH}, fp32, one thread, "
        f"{rounds} round{'s' * (rounds > 1)} of {STEPS} steps: `{BARE}`, compared with a plain loop with the same "
        f'optimizer. "All tricks" adds `{TRICKS}`.',
        "",
        "| | ms per step | time relative to the plain loop, median | lowest to highest |",
        "|---|---|---|---|",
    ]
    for name, times in taken.items():
        lines.append(f"| {name} | {1e3 * sorted(times)[len(times) // 2]:.2f} | {ratio(times, taken['a plain loop'])} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.host", description="Measure the host overhead of a step."
    )
    parser.add_argument("rounds", nargs="?", type=int, default=15, metavar="ROUNDS")
    rounds = parser.parse_args().rounds
    if rounds < 1:
        parser.error("ROUNDS must be at least 1")
    print("\n".join(host(Settings(host_rounds=rounds))))
