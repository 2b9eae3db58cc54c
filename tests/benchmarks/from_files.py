"""Compare training from image files with torchvision's reference: (b), (e) and (f)."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler
from torchvision import datasets, models, transforms

from recipe.data.images import IMAGENET_MEAN, IMAGENET_STD, Images
from recipe.devices.choice import repeatable
from recipe.inference.batches import Batch, ahead, load
from recipe.inference.datasets import open_sets
from recipe.plugins.calling import call_hook
from recipe.training.loading import Steps
from recipe.training.meters import Meter
from tests.benchmarks.clocks import Clock, ratio, seconds, speed, turns
from tests.benchmarks.decode import originals, photo
from tests.benchmarks.settings import FED, SIZE, Settings
from tests.benchmarks.timed import plan_of, trainer_of


def write_photos(folder: Path, count: int, distinct: int | None = None) -> None:
    """Write ``count`` JPEG files of two classes to folder/train and four to folder/val, from ``distinct`` photos."""
    draws = np.random.default_rng(0)
    files = list[bytes]()
    for number in range(count + 4):
        part = "train" if number < count else "val"
        home = folder / part / ("temple", "flower")[number % 2]
        home.mkdir(parents=True, exist_ok=True)
        if distinct is None or number < distinct:
            width, height = (500, 375) if draws.random() < 0.8 else (375, 500)
            packed = io.BytesIO()
            pixels = photo(originals()[number % 2], width, height, draws)
            Image.fromarray(pixels).save(packed, "jpeg", quality=int(draws.integers(75, 96)))
            files.append(packed.getvalue())
        (home / f"{number:04}.jpg").write_bytes(files[number % len(files)])


class Ours:
    """The training of a run on image files, with a run's settings and a choice of where batches come from."""

    def __init__(self, folder: Path, settings: Settings, device: torch.device) -> None:
        self.plan = plan_of(FED, f'data folder "{folder}" size={SIZE}', f"batch {settings.batch}")
        self.sets, self.device = open_sets(self.plan), device
        self.clock = Clock(device)
        self.trainer = trainer_of(self.plan, self.sets, device, self.clock)
        self.meter = Meter.on(device)

    def batches(self, images: Images, workers: int) -> Iterator[Batch]:
        boxer = partial(call_hook, self.plan.hooked("crop_box")[0], "crop_box")
        steps = Steps(images, self.plan.training, None if images.uniform else boxer)
        endless = range(self.trainer.step, self.trainer.step + 10**6)
        return ahead(load(steps, endless, workers, self.device.type == "cuda"), self.device)

    def files(self, workers: int) -> Iterator[Batch]:
        return self.batches(self.sets.train, workers)

    def memory(self) -> Iterator[Batch]:
        """Yield batches from a dataset in memory: `data fake`."""
        fake = open_sets(plan_of("base resnet50", f"data fake size={SIZE} classes=2 images=256"))
        return self.batches(fake.train, 0)

    def synthetic(self) -> Iterator[Batch]:
        """Yield the same batch repeatedly."""
        batch = next(self.files(0))
        while True:
            yield batch

    def settings(self) -> AbstractContextManager[object]:
        return repeatable(self.device)

    def step(self, batch: Batch) -> None:
        self.trainer.train_step(batch, self.meter)
        with self.clock("metrics"):  # a run logs every step on a CPU
            if self.device.type == "cpu":
                self.meter.read(self.trainer.ranks)


class Reference:
    """The training of torchvision's reference script: image files decoded by Pillow, normalized on the CPU, NCHW."""

    def __init__(self, folder: Path, settings: Settings, device: torch.device, half: bool) -> None:
        into = [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        transform = transforms.Compose([*into, transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
        self.images = datasets.ImageFolder(str(folder / "train"), transform)
        self.batch, self.device, self.half = settings.batch, device, half
        self.model = models.resnet50(num_classes=2).to(device).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
        self.criterion = nn.CrossEntropyLoss()
        self.clock = Clock(device)
        self.sums = Counter[str]()

    def files(self, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
        endless = RandomSampler(self.images, num_samples=10**6)
        loader = DataLoader(self.images, self.batch, sampler=endless, num_workers=workers, pin_memory=self.pins)
        yield from loader

    def settings(self) -> AbstractContextManager[object]:
        return nullcontext()

    @property
    def pins(self) -> bool:
        return self.device.type == "cuda"

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        clock = self.clock
        with clock("prepare"):
            images, labels = (one.to(self.device, non_blocking=True) for one in batch)
        with clock("forward"), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            outputs = self.model(images)
        with clock("loss"), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = self.criterion(outputs, labels)
        with clock("rest"):
            self.optimizer.zero_grad()
        with clock("backward"):
            loss.backward()
        with clock("optimizer"):
            self.optimizer.step()
        with clock("metrics"):
            self.count(loss, outputs, labels)

    @torch.no_grad()
    def count(self, loss: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Record loss and accuracy, which waits for the device at every step."""
        right = outputs.topk(2).indices == labels[:, None]
        found = {"loss": loss, "top1": right[:, :1].sum() / len(labels), "top2": right.sum() / len(labels)}
        self.sums.update({name: value.item() for name, value in found.items()})


def fed(side: Ours | Reference, feed: Callable[[], Iterator[Any]], settings: Settings, clocked: bool = False) -> float:
    """Return the seconds of a step, including data, once the loader is warm."""
    batches, clock = feed(), side.clock

    def step() -> None:
        with clock("data"):
            batch = next(batches)
        with clock("rest"):
            side.step(batch)

    with side.settings():
        seconds(step, settings.lead, side.device)
        clock.on = clocked
        took = seconds(step, settings.fed_steps, side.device)
        clock.on = False
    batches.close()  # type: ignore[attr-defined]
    return took


def best_workers(side: Ours | Reference, settings: Settings) -> int:
    """Return the fastest number of workers, from one turn each."""
    seconds(partial(side.step, next(side.files(0))), settings.lead, side.device)
    return min(settings.workers, key=lambda workers: fed(side, partial(side.files, workers), settings))


def from_files(settings: Settings, device: torch.device) -> list[str]:
    """Compare a run on image files with torchvision's loop, vary the image source, and break down the step time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, settings.photos)
        ours = Ours(folder, settings, device)
        sides: dict[str, Ours | Reference] = {
            "ours, bf16": ours,
            "reference, bf16": Reference(folder, settings, device, True),
            "reference, fp32": Reference(folder, settings, device, False),
        }
        workers = {name: best_workers(side, settings) for name, side in sides.items()}
        feeds = {name: (side, partial(side.files, workers[name])) for name, side in sides.items()}
        feeds["ours, from memory"], feeds["ours, the same batch"] = (ours, ours.memory), (ours, ours.synthetic)
        taken = turns(
            {name: partial(fed, *pair, settings) for name, pair in feeds.items()}, settings.fed_rounds, warm=True
        )
        for one in sides:
            fed(*feeds[one], settings, clocked=True)
    return [
        *compared(taken, workers, settings),
        "",
        *feeding(taken, settings),
        "",
        *shares({name: side.clock.shares() for name, side in sides.items()}),
    ]


def compared(taken: dict[str, list[float]], workers: dict[str, int], settings: Settings) -> list[str]:
    lines = [
        "### A run against torchvision's reference",
        "",
        f"ResNet-50 on {settings.photos} JPEG files of 500 × 375 pixels, with random crop and flip to {SIZE} × {SIZE} "
        f'and batches of {settings.batch}; {settings.fed_rounds} rounds of {settings.fed_steps} steps. "Ours" is a run '
        f"of `{FED}`. The reference is a loop like torchvision's `references/classification/train.py`: NCHW, "
        "transforms on the CPU, SGD, and metrics that are read at every step. Each uses its fastest number of workers "
        f"out of {' and '.join(map(str, settings.workers))}.",
        "",
        "| | workers | images per second | speed of ours relative to it, median | lowest to highest |",
        "|---|---|---|---|---|",
    ]
    for name, count in workers.items():
        cells = f"{speed(settings.batch, taken[name])} | {ratio(taken[name], taken['ours, bf16'])}"
        lines.append(f"| {name} | {count} | {cells} |")
    return lines


def feeding(taken: dict[str, list[float]], settings: Settings) -> list[str]:
    lines = [
        "### Image sources",
        "",
        "Measured in the same rounds. `data fake` is a dataset in memory.",
        "",
        "| | images per second | speed relative to the same batch, median | lowest to highest |",
        "|---|---|---|---|",
    ]
    names = {"JPEG files": "ours, bf16", "`data fake`": "ours, from memory", "the same batch": "ours, the same batch"}
    for name, key in names.items():
        cells = f"{speed(settings.batch, taken[key])} | {ratio(taken['ours, the same batch'], taken[key])}"
        lines.append(f"| {name} | {cells} |")
    return lines


def shares(sides: dict[str, dict[str, float]]) -> list[str]:
    parts = ("data", "prepare", "forward", "loss", "backward", "metrics", "guard", "optimizer", "rest")
    lines = [
        "### Where the time goes",
        "",
        'Percentage of a step in the trainings above. "data" is waiting for the loader, "prepare" is the processing of '
        'a batch on the device, and "guard" is the check that all values are finite.',
        "",
        f"| | {' | '.join(parts)} |",
        "|---" * (len(parts) + 1) + "|",
    ]
    for name, found in sides.items():
        other = sum(share for part, share in found.items() if part not in parts)
        shown = {**found, "rest": found.get("rest", 0) + other}
        lines.append(f"| {name} | {' | '.join(f'{shown.get(part, 0):.1f}' for part in parts)} |")
    return lines
