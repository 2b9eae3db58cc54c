"""Compare a training on JPEG files with one on a fixed batch, by the number of loader workers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from recipe.devices.choice import cores, repeatable
from recipe.inference.batches import Batch, ahead, load
from recipe.inference.datasets import open_sets
from recipe.plugins.calling import call_hook
from recipe.training.loading import Steps
from recipe.training.meters import Meter
from recipe.training.trainer import Trainer
from tests.benchmarks.clocks import seconds
from tests.benchmarks.from_files import write_photos
from tests.benchmarks.settings import DEEP, SIZE
from tests.benchmarks.timed import plan_of, trainer_of
from tests.gpu.session import Session


def fed(session: Session) -> None:
    """Measure images per second of the loader alone, of a training on its batches, and of one on a fixed batch."""
    photos, batch, steps = (32, 4, 2) if session.quick else (2048, 256, 24)
    device, pin = session.device, session.cuda
    form = "bf16" if session.cuda else "fp32"
    with tempfile.TemporaryDirectory() as name, repeatable(device):
        write_photos(Path(name), photos, distinct=8 if session.quick else 32)
        size = 32 if session.quick else SIZE
        plan = plan_of(
            f"{DEEP}; augment crop flip; layout channels-last; lr 0.01; precision {form}; epochs 1000; batch {batch}",
            f'data folder "{name}" size={size}',
        )
        sets = open_sets(plan)
        trainer, meter = trainer_of(plan, sets, device), Meter.on(device)
        boxer = partial(call_hook, plan.hooked("crop_box")[0], "crop_box")
        for workers in (2,) if session.quick else sorted({4, max(1, cores() - 2), cores()}):
            if session.left < 40 and not session.quick:
                session.tell("fed", workers=workers, skipped=f"only {session.left:.0f} s are left")
                return
            few = max(2, steps // 4) if workers <= 4 else steps
            loaded = partial(load, Steps(sets.train, plan.training, boxer), range(10**5), workers, pin)
            loader = _loader(loaded(), 2 * workers, few, batch)
            files, kept = _trained(trainer, meter, ahead(loaded(), device), 2 * workers, few, batch)
            session.tell(
                "fed",
                workers=workers,
                loader_alone=round(loader, 1),
                from_files=round(files, 1),
                same_batch=round(kept, 1),
                ratio=round(files / kept, 3),
            )


def _loader(batches: Iterator[Batch], lead: int, steps: int, batch: int) -> float:
    """Return the images per second of the loader, after the batches that its workers prepared in advance."""
    for _ in range(lead):
        next(batches)
    began = time.perf_counter()
    for _ in range(steps):
        next(batches)
    taken = time.perf_counter() - began
    batches.close()  # type: ignore[attr-defined]
    return steps * batch / taken


def _trained(
    trainer: Trainer, meter: Meter, batches: Iterator[Batch], lead: int, steps: int, batch: int
) -> tuple[float, float]:
    """Return the images per second of a training on loaded batches, and of one on the last of them."""
    last: list[Batch] = []

    def fed_step() -> None:
        last[:] = [next(batches)]
        trainer.train_step(last[0], meter)

    seconds(fed_step, lead, trainer.device)
    fed = seconds(fed_step, steps, trainer.device)
    batches.close()  # type: ignore[attr-defined]
    same = seconds(lambda: trainer.train_step(last[0], meter), min(steps, 12), trainer.device)
    return batch / fed, batch / same
