"""Check that a device gives the same results as the CPU with each set of tricks, and the same bits in two runs."""

from __future__ import annotations

import warnings
from collections import Counter

import attrs
import numpy as np
import torch
from torch import Tensor

from recipe.devices.choice import repeatable
from recipe.inference.batches import Batch
from recipe.training.meters import Meter
from tests.benchmarks.timed import made_up, plan_of, trainer_of
from tests.gpu.session import Session
from tests.gpu.sets import SETS, TOGETHER, waits

BATCH, SIDE, CLASSES = 16, 64, 10
KEPT = 60
"""Seconds of the budget reserved for later parts."""
MOST = 5e-3
"""Largest relative difference from the CPU's tensor after two steps in fp32; rounding causes about 1e-4."""


@attrs.frozen(eq=False)
class Trained:
    """The result of a few steps."""

    state: dict[str, Tensor]
    loss: float
    waits: tuple[str, ...]
    """The lines where the last step waited for the device."""

    @property
    def finite(self) -> bool:
        return all(bool(one.isfinite().all()) for one in self.state.values())


def trained(text: str, device: torch.device, form: str, steps: int = 2) -> Trained:
    """Train a ResNet-18 with some tricks for a few steps on made-up images, as a run does."""
    batch = "" if "batch" in text else f"batch {BATCH}; "
    data = f"data fake size={SIDE} classes={CLASSES}"
    plan = plan_of(
        f"base resnet18; {data}; {batch}epochs 2; lr 0.01; layout channels-last; precision {form}", text or "lr 0.01"
    )
    with repeatable(device):
        torch.manual_seed(0)
        made, sets = made_up(BATCH, SIDE, CLASSES, torch.device("cpu"))
        trainer = trainer_of(plan, sets, device)
        meter, seen = Meter.on(device), list[str]()
        for place in range(steps):
            batch_now = Batch(made.images, made.labels, np.arange(BATCH), 0, trainer.step, BATCH)
            if device.type == "cuda":
                batch_now = batch_now.pin_memory().to(device)
            if place < steps - 1 or device.type != "cuda":
                trainer.train_step(batch_now, meter)
            else:
                seen = _waiting(lambda now=batch_now: trainer.train_step(now, meter))  # type: ignore[misc]
        state = {name: one.detach().double().cpu() for name, one in trainer.model.state_dict().items()}
        return Trained(state, float(meter.loss) / meter.images, tuple(seen))


def _waiting(step: object) -> list[str]:
    """Return the lines where a step waits for the device, as reported by torch."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()  # type: ignore[operator]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [f"{one.filename.split('/')[-1]}:{one.lineno}" for one in seen if "synchroniz" in str(one.message)]


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Return the largest distance between tensors of the same name, relative to the norm of the first."""
    names = [name for name, tensor in one.items() if tensor.ndim]
    return max(float((one[name] - other[name]).norm() / one[name].norm().clamp_min(1e-6)) for name in names)


def right(session: Session) -> None:
    """Compare two fp32 steps on the CPU and the device for each set of tricks; check half precision stays finite."""
    cpu, device = torch.device("cpu"), session.device
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        for text in (*SETS[:3], "clip 0.5", TOGETHER) if session.quick else (*SETS, TOGETHER):
            if session.left < KEPT and not session.quick:
                session.tell("right", tricks=text, skipped=f"only {session.left:.0f} s are left")
                continue
            with session.part(f"right: {text or 'bare'}"):
                ours, theirs = trained(text, cpu, "fp32"), trained(text, device, "fp32")
                halves = {form: trained(text, device, form) for form in ("fp16", "bf16")} if session.cuda else {}
                off, allowed = distance(ours.state, theirs.state), waits(text, BATCH)
                finite = {form: half.finite for form, half in halves.items()}
                waiting = {form: len(one.waits) for form, one in {"fp32": theirs, **halves}.items()}
                session.tell(
                    "right",
                    right=off < MOST and all(finite.values()) and max(waiting.values()) <= allowed,
                    tricks=text or "bare",
                    off=float(f"{off:.1e}"),
                    loss=[round(ours.loss, 5), round(theirs.loss, 5)],
                    finite=finite,
                    waits=dict(Counter(place for one in (theirs, *halves.values()) for place in one.waits)),
                )
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def repeats(session: Session) -> None:
    """Check that repeating the steps of a run gives the same bits."""
    for form in ("fp16", "bf16") if session.cuda else ("fp32",):
        one, other = (trained(TOGETHER, session.device, form, steps=3 if session.quick else 6) for _ in range(2))
        same = all(torch.equal(one.state[name], other.state[name]) for name in one.state)
        session.tell("repeats", right=same, precision=form)
