"""Measure training speed on a device with a fixed batch, with the settings of a run and with cuDNN free to choose."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from recipe.devices.choice import repeatable
from tests.benchmarks.clocks import seconds, synchronise
from tests.benchmarks.settings import DEEP, SIZE
from tests.benchmarks.timed import made_up, plan_of, stepping, trainer_of
from tests.gpu.session import Session

CLASSES = 1000
MODELS = {"ResNet-50-D": DEEP, "ResNet-50": "base resnet50"}
PAPER = "augment flip jitter pca-noise mixup; loss smooth; ema 0.999; clip 1.0"
"""Tricks that each do some work on the device in every step."""
REST = "optimizer nag; layout channels-last; lr 0.01; decay 1e-4 no-bias"
QUICK = 32, 2
"""Image size and batch of a quick session."""
BYTES_AN_IMAGE = 359e6
"""Minimum memory traffic of a ResNet-50 step per image of 224 × 224 pixels, in half precision."""

Step = Callable[[], object]


def ceilings(session: Session) -> None:
    """Measure the throughput of a large copy and a large product on the device."""
    if not session.cuda:
        return
    copied, product = _copy(session.device), _product(session.device)
    session.tell(
        "ceilings",
        copy_GB_s=round(copied / 1e9),
        product_bf16_TFLOP_s=round(product / 1e12),
        images_s_that_memory_allows=round(copied / BYTES_AN_IMAGE),
    )


def _copy(device: torch.device, size: int = 2**32) -> float:
    """Return the bytes per second that a copy reads and writes."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds(lambda: target.copy_(source), 2, device)
    return 2 * size / seconds(lambda: target.copy_(source), 10, device)


def _product(device: torch.device, side: int = 8192) -> float:
    """Return the operations per second of a matrix product in bf16."""
    square = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    seconds(lambda: square @ square, 2, device)
    return 2 * side**3 / seconds(lambda: square @ square, 10, device)


@contextlib.contextmanager
def settings(device: torch.device, held: bool) -> Iterator[None]:
    """Apply the settings of a run; unless ``held``, let cuDNN choose its kernels by timing them."""
    with repeatable(device):
        if not held:
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, False
        yield


def made(session: Session, model: str, form: str, batch: int, *more: str) -> Step:
    """Return a training step that can be repeated on the same batch."""
    side = QUICK[0] if session.quick else SIZE
    batch_now, sets = made_up(batch, side, CLASSES, session.device)
    data = f"data fake size={side} classes={CLASSES} workers=0"
    plan = plan_of(f"{MODELS[model]}; {REST}; {data}", f"batch {batch}", f"precision {form}", *filter(None, more))
    return stepping(trainer_of(plan, sets, session.device), batch_now)


def timed(
    session: Session, model: str, form: str, batch: int = 256, tricks: str = "", held: bool = True, mode: str = ""
) -> None:
    """Measure a training step: images per second, total time, and time on the host."""
    device, steps, turns = session.device, 1 if session.quick else 15, 1 if session.quick else 3
    batch = QUICK[1] if session.quick else batch
    torch._dynamo.reset()
    with settings(device, held):
        step = made(session, model, form, batch, tricks, mode)
        began = time.perf_counter()
        seconds(step, 1, device)
        first = time.perf_counter() - began
        seconds(step, 1 if session.quick else 8, device)
        total = statistics.median(seconds(step, steps, device) for _ in range(turns))
        host = statistics.median(_host(step, device) for _ in range(turns))
    session.tell(
        "speed",
        model=model,
        precision=form,
        batch=batch,
        tricks=tricks or "bare",
        cudnn="as a run" if held else "free",
        mode=mode or "eager",
        images_s=round(batch / total, 1),
        step_ms=round(1e3 * total, 2),
        host_ms=round(1e3 * host, 2),
        first_s=round(first, 1),
        peak_GiB=round(torch.cuda.max_memory_allocated(device) / 2**30, 1) if session.cuda else None,
    )


def _host(step: Step, device: torch.device) -> float:
    """Return the seconds to launch a step on an idle device."""
    synchronise(device)
    began = time.perf_counter()
    step()
    taken = time.perf_counter() - began
    synchronise(device)
    return taken


def profiled(session: Session) -> None:
    """Profile a step: its time by kernel, its launches and its waits."""
    from torch.profiler import ProfilerActivity, profile

    steps = 1 if session.quick else 3
    with settings(session.device, held=True):
        step = made(
            session, "ResNet-50-D", "fp16" if session.cuda else "fp32", QUICK[1] if session.quick else 256, PAPER
        )
        seconds(step, 1 if session.quick else 5, session.device)
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if session.cuda else [])]) as seen:
            seconds(step, steps, session.device)
    events = seen.key_averages()
    kind = "self_device_time_total" if session.cuda else "self_cpu_time_total"
    (session.out / "profile.txt").write_text(events.table(sort_by=kind, row_limit=60))
    whole = sum(getattr(event, kind) for event in events) or 1
    most = sorted(events, key=lambda event: getattr(event, kind), reverse=True)[:10]
    launches = sum(event.count for event in events if "LaunchKernel" in event.key) // steps
    waiting = sum(event.count for event in events if "Synchronize" in event.key) // steps
    shares = {event.key[:80]: round(100 * getattr(event, kind) / whole, 1) for event in most}
    session.tell(
        "profile",
        tricks=PAPER,
        launches_a_step=launches,
        waits_a_step=waiting,
        percent=shares,
        table="profile.txt",
    )
