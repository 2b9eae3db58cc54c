"""How fast trainings are, beside hand-written ones, and where their time goes.

Run on an idle machine, from the root of the repository: python -m tests.benchmarks.training [--quick] [PART …]
What is compared takes turns in one process, round by round, after a round that is not counted; a ratio is taken within
a round. On CUDA the batches are larger.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler
from torch.utils.flop_counter import FlopCounterMode
from torchvision import datasets, models, transforms

from recipe.bind import bind
from recipe.compiler import lower
from recipe.devices import pick, precision
from recipe.engine import open_sets
from recipe.images import IMAGENET_MEAN, IMAGENET_STD, Images, InMemory, Sets
from recipe.inputs import override, source_from
from recipe.loading import Batch, Steps, ahead, load
from recipe.meters import Guard, Meter
from recipe.objective import ask
from recipe.plan import Plan
from recipe.registry import Vocabulary
from recipe.teachers import teachers_of
from recipe.trainer import Trainer
from tests.benchmarks.decode import originals, photo

SIZE = 224
FAST = "precision bf16; layout channels-last"
DEEP = "base resnet50; tweak C D"
FED = f"base resnet50; augment crop flip; optimizer sgd; lr 0.01; decay 1e-4; {FAST}"
PLAIN = f"base resnet50; data fake size=64 classes=1000 workers=0; optimizer sgd; lr 0.01; decay 1e-4; {FAST}"
TEACHER = f"base resnet18; data fake size=64 classes=1000; {FAST}"
TRICKS = {
    "label smoothing": "loss smooth 0.1",
    "mixup": "augment mixup 0.2",
    "cutmix": "augment cutmix 1.0",
    "moving average": "ema 0.999",
    "colour jitter": "augment jitter",
    "PCA noise": "augment pca-noise",
    "flip": "augment flip",
    "crop": "augment crop",
    "no bias decay": "decay 1e-4 no-bias",
    "zero gamma": "init zero-gamma",
    "Nesterov momentum for plain": "optimizer nag",
    "distillation from a ResNet-18": 'loss distill "{teacher}"',
}
"""What is laid over `PLAIN` to turn each on."""
SPEEDS = {"ResNet-50": "base resnet50", "ResNet-50-D": DEEP}
BYTES_AN_IMAGE = 359e6
"""What a step of ResNet-50 moves to and from memory for each image of 224 × 224, at the least, in half precision."""


@attrs.frozen
class Settings:
    """How much is measured; a turn is so many steps."""

    batch: int = 8
    steps: int = 1
    rounds: int = 7
    photos: int = 160
    fed_steps: int = 2
    fed_rounds: int = 4
    lead: int = 1
    workers: tuple[int, ...] = (0, 2)
    trick_batch: int = 32
    trick_steps: int = 1
    trick_rounds: int = 9
    batches: tuple[int, ...] = (64, 128, 256, 512)

    @classmethod
    def of(cls, device: torch.device, quick: bool) -> Settings:
        if quick:
            little = {"steps": 1, "rounds": 1, "photos": 24, "fed_steps": 1, "fed_rounds": 1, "lead": 1}
            return cls(batch=4, trick_batch=8, trick_rounds=1, batches=(8,), **little)
        if device.type == "cuda":
            cores = os.cpu_count() or 2
            larger = {"photos": 2048, "fed_steps": 20, "lead": 10, "workers": (0, cores // 2, cores)}
            return cls(batch=128, steps=20, trick_batch=256, trick_steps=20, **larger)
        return cls()


# Clocks and turns


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Seconds of a step, the mean of several."""
    synchronise(device)
    began = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise(device)
    return (time.perf_counter() - began) / steps


class Clock:
    """Seconds by the name of what took them, less those of what is timed within; while it is off, it costs nothing."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.on, self.parts, self.within = device, False, Counter[str](), [""]

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        if not self.on:
            yield
            return
        synchronise(self.device)
        began = time.perf_counter()
        self.within.append(name)
        yield
        synchronise(self.device)
        self.within.pop()
        took = time.perf_counter() - began
        self.parts[name] += took
        self.parts[self.within[-1]] -= took

    def timing(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            with self(name):
                return function(*arguments, **named)

        return timed

    def shares(self) -> dict[str, float]:
        """The percentage of each part."""
        parts = {name: took for name, took in self.parts.items() if name}
        return {name: 100 * took / sum(parts.values()) for name, took in parts.items()}


Turn = Callable[[], float]
"""Takes its turn, and gives the seconds of a step."""


def turns(sides: dict[str, Turn], rounds: int, warm: bool = False) -> dict[str, list[float]]:
    """What each side's turns took, round by round; the first round is not counted, unless all are warm."""
    for turn in () if warm else sides.values():
        turn()
    taken = [{name: turn() for name, turn in sides.items()} for _ in range(rounds)]
    return {name: [one[name] for one in taken] for name in sides}


def ratio(slower: list[float], faster: list[float]) -> str:
    """Two cells of a table: the median of the ratios of seconds, round by round, and the lowest to the highest."""
    ratios = [a / b for a, b in zip(slower, faster, strict=True)]
    return f"{statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f}"


def speed(batch: int, taken: list[float]) -> str:
    return f"{batch / statistics.median(taken):.1f}"


# Ours


@attrs.define(eq=False, slots=False)
class Timed(Trainer):
    """A trainer whose parts a clock can time."""

    clock: Clock = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock = Clock(self.device)
        self.prepare = self.clock.timing("prepare", self.prepare)  # type: ignore[assignment]
        self.forward = self.clock.timing("forward", self.forward)
        self.loss_of = self.clock.timing("loss and metrics", self.loss_of)
        self.guard = TimedGuard(self.guard, self.clock)  # type: ignore[assignment]
        self.optimizer.step = self.clock.timing("optimizer", self.optimizer.step)  # type: ignore[method-assign]

    def _backward(self, *arguments: object) -> Tensor:
        with self.clock("backward"):
            return super()._backward(*arguments)  # type: ignore[arg-type]


@attrs.frozen(eq=False)
class TimedGuard:
    guard: Guard
    clock: Clock

    def look(self, *arguments: object) -> None:
        with self.clock("guard"):
            self.guard.look(*arguments)  # type: ignore[arg-type]

    @property
    def broken(self) -> Tensor:
        return self.guard.broken


@attrs.frozen(eq=False)
class TimedMeter:
    meter: Meter
    clock: Clock

    def add(self, *arguments: Tensor) -> None:
        with self.clock("loss and metrics"):
            self.meter.add(*arguments)


def plan_of(text: str, *statements: str) -> Plan:
    return bind([source_from(text), *override(statements)], Vocabulary.installed())


def trainer_of(plan: Plan, sets: Sets, device: torch.device, kind: type[Trainer] = Trainer) -> Trainer:
    """A trainer as a run has it, whose teachers have random weights."""
    program = lower(plan)
    teachers = teachers_of(plan, program.classes, Vocabulary.installed())
    teach = {one.plan.digest: taught(one.model, device) for _, one in teachers}
    trainer = kind.make(program, sets, device, precision(plan.training.precision, device), teach)
    trainer.model.train()
    return trainer


def taught(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    model = model.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @torch.no_grad()
    def teach(inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return model(inputs).float()  # type: ignore[no-any-return]

    return teach


def made_up(batch: int, size: int, classes: int, device: torch.device) -> tuple[Batch, Sets]:
    """A batch of random pixels on a device, and the sets that it is of."""
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    images = InMemory(pixels, torch.arange(batch) % classes)
    made = Batch(images.pixels, images.labels, np.arange(batch), 0, 0, batch).to(device)
    return made, Sets(images, images, classes)


def stepping(trainer: Trainer, batch: Batch) -> Callable[[], object]:
    """One training step after the other on the same batch."""
    meter = Meter.on(trainer.device)
    return lambda: trainer.train_step(attrs.evolve(batch, step=trainer.step), meter)


# (a) and (c): the model


class Bottleneck(nn.Module):
    """A block of ResNet-50-D (He et al. 2019, section 4.2), as one would write it."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential()
        if inputs != 4 * width:
            pool = [nn.AvgPool2d(2, 2)] if stride == 2 else []
            self.downsample = nn.Sequential(
                *pool, nn.Conv2d(inputs, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += self.downsample(x)
        return self.relu(out)


def stem() -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 32, 2), (32, 32, 1), (32, 64, 1)):
        convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return [*layers, nn.MaxPool2d(3, 2, 1)]


def handwritten() -> nn.Module:
    """ResNet-50-D in plain PyTorch."""
    layers, inputs = stem(), 64
    for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for place in range(depth):
            layers.append(Bottleneck(inputs, width, stride if place == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def macs(model: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 3, SIZE, SIZE))
    return counter.get_total_flops() // 2


def alike(ours: nn.Module, theirs: nn.Module) -> float:
    """Give theirs our weights, in order; the largest difference of outputs. Parameters and MACs must be the same."""
    mine, yours = ours.state_dict(), theirs.state_dict()
    assert [one.shape for one in mine.values()] == [one.shape for one in yours.values()]
    assert macs(ours) == macs(theirs)
    theirs.load_state_dict(dict(zip(yours, mine.values(), strict=True)))
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        difference = float((ours.eval()(images) - theirs.eval()(images)).abs().max())
    assert difference < 1e-4, difference
    return difference


class Plain:
    """The shortest loop in plain PyTorch: a batch that stays, channels last, bf16."""

    def __init__(self, model: nn.Module, batch: int, device: torch.device) -> None:
        self.model = model.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.images = torch.randn(batch, 3, SIZE, SIZE, device=device).to(memory_format=torch.channels_last)
        self.labels = torch.arange(batch, device=device)
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)

    def step(self) -> None:
        with torch.autocast(self.images.device.type, torch.bfloat16):
            loss = F.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def rewritten(settings: Settings, device: torch.device) -> list[str]:
    """The rewritten ResNet-50-D beside a hand-written one and timm's, in one loop."""
    ours = lower(plan_of(DEEP)).model
    others = {"hand-written": handwritten()}
    with contextlib.suppress(ImportError):
        import timm

        others["timm's `resnet50d`"] = timm.create_model("resnet50d")
    differences = [alike(ours, other) for other in others.values()]
    loops = {name: Plain(model, settings.batch, device) for name, model in {"rewritten": ours, **others}.items()}
    taken = turns(
        {name: partial(seconds, loop.step, settings.steps, device) for name, loop in loops.items()}, settings.rounds
    )
    lines = [
        "### Rewritten models",
        "",
        f"`{DEEP}` beside a hand-written ResNet-50-D, in the same loop in plain PyTorch: {SIZE} × {SIZE} pixels, "
        f"batches of {settings.batch}, bf16, channels last; {settings.rounds} rounds, each of steps: {settings.steps}. "
        f"Parameters ({sum(p.numel() for p in ours.parameters()):,}) and MACs are the same, and outputs differ by "
        f"{max(differences):.0e} at most for the same weights.",
        "",
        "| | images a second | speed, rewritten / it, median | lowest to highest |",
        "|---|---|---|---|",
    ]
    for name, times in taken.items():
        lines.append(f"| {name} | {speed(settings.batch, times)} | {ratio(times, taken['rewritten'])} |")
    return lines


# (b), (e) and (f): fed from files


def write_photos(folder: Path, count: int) -> None:
    """So many JPEG files of two classes in folder/train and a few in folder/val."""
    draws = np.random.default_rng(0)
    for number in range(count + 4):
        part = "train" if number < count else "val"
        home = folder / part / ("temple", "flower")[number % 2]
        home.mkdir(parents=True, exist_ok=True)
        width, height = (500, 375) if draws.random() < 0.8 else (375, 500)
        pixels = photo(originals()[number % 2], width, height, draws)
        Image.fromarray(pixels).save(home / f"{number:04}.jpg", quality=int(draws.integers(75, 96)))


class Ours:
    """A run's training on image files, fed as a run is, or otherwise."""

    def __init__(self, folder: Path, settings: Settings, device: torch.device) -> None:
        self.plan = plan_of(FED, f'data folder "{folder}" size={SIZE}', f"batch {settings.batch}")
        self.sets, self.device = open_sets(self.plan), device
        self.trainer = trainer_of(self.plan, self.sets, device, Timed)
        self.clock: Clock = self.trainer.clock  # type: ignore[attr-defined]
        self.meter = TimedMeter(Meter.on(device), self.clock)

    def batches(self, images: Images, workers: int) -> Iterator[Batch]:
        boxer = partial(ask, self.plan.hooked("box")[0], "box")
        steps = Steps(images, self.plan.training, None if images.uniform else boxer)
        endless = range(self.trainer.step, self.trainer.step + 10**6)
        return ahead(load(steps, endless, workers, self.device.type == "cuda"), self.device)

    def files(self, workers: int) -> Iterator[Batch]:
        return self.batches(self.sets.train, workers)

    def memory(self) -> Iterator[Batch]:
        """From a set in memory: `data fake`."""
        fake = open_sets(plan_of("base resnet50", f"data fake size={SIZE} classes=2 images=256"))
        return self.batches(fake.train, 0)

    def synthetic(self) -> Iterator[Batch]:
        """The same batch again and again."""
        batch = next(self.files(0))
        while True:
            yield batch

    def step(self, batch: Batch) -> None:
        self.trainer.train_step(batch, self.meter)  # type: ignore[arg-type]
        with self.clock("loss and metrics"):  # a run logs every step on a CPU
            if self.device.type == "cpu":
                self.meter.meter.read(self.trainer.ranks)


class Reference:
    """The training on image files of torchvision's reference script: NCHW, decoded by Pillow, normalised on the CPU."""

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

    @property
    def pins(self) -> bool:
        return self.device.type == "cuda"

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        clock = self.clock
        with clock("prepare"):
            images, labels = (one.to(self.device, non_blocking=True) for one in batch)
        with clock("forward"), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            outputs = self.model(images)
        with clock("loss and metrics"), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = self.criterion(outputs, labels)
        with clock("rest"):
            self.optimizer.zero_grad()
        with clock("backward"):
            loss.backward()
        with clock("optimizer"):
            self.optimizer.step()
        with clock("loss and metrics"):
            self.count(loss, outputs, labels)

    @torch.no_grad()
    def count(self, loss: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Loss and accuracy, which wait for the device at every step."""
        right = outputs.topk(2).indices == labels[:, None]
        found = {"loss": loss, "top1": right[:, :1].sum() / len(labels), "top2": right.sum() / len(labels)}
        self.sums.update({name: value.item() for name, value in found.items()})


def fed(side: Ours | Reference, feed: Callable[[], Iterator[Any]], settings: Settings, clocked: bool = False) -> float:
    """Seconds of a step, data included, once the loader has got into its stride."""
    batches, clock = feed(), side.clock

    def step() -> None:
        with clock("data"):
            batch = next(batches)
        with clock("rest"):
            side.step(batch)

    seconds(step, settings.lead, side.device)
    clock.on = clocked
    took = seconds(step, settings.fed_steps, side.device)
    clock.on = False
    batches.close()  # type: ignore[attr-defined]
    return took


def best_workers(side: Ours | Reference, settings: Settings) -> int:
    """The number of workers that is fastest, in one turn each."""
    seconds(partial(side.step, next(side.files(0))), settings.lead, side.device)
    return min(settings.workers, key=lambda workers: fed(side, partial(side.files, workers), settings))


def from_files(settings: Settings, device: torch.device) -> list[str]:
    """A run on image files beside torchvision's loop; fed in other ways; and where the time goes."""
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
        "### A run beside torchvision's reference",
        "",
        f"ResNet-50 on {settings.photos} JPEG files of 500 × 375 pixels, to {SIZE} × {SIZE}, random crop and flip, "
        f"batches of {settings.batch}; {settings.fed_rounds} rounds of {settings.fed_steps} steps. Ours is the run of "
        f"`{FED}`. The reference is a loop such as torchvision's `references/classification/train.py` has: NCHW, "
        "transforms on the CPU, SGD, and metrics that are read at every step. Each has the number of workers that is "
        f"its fastest, of {' and '.join(map(str, settings.workers))}.",
        "",
        "| | workers | images a second | speed, ours / it, median | lowest to highest |",
        "|---|---|---|---|---|",
    ]
    for name, count in workers.items():
        cells = f"{speed(settings.batch, taken[name])} | {ratio(taken[name], taken['ours, bf16'])}"
        lines.append(f"| {name} | {count} | {cells} |")
    return lines


def feeding(taken: dict[str, list[float]], settings: Settings) -> list[str]:
    lines = [
        "### Where images come from",
        "",
        "In the same rounds; `data fake` is a set in memory.",
        "",
        "| | images a second | speed, it / the same batch, median | lowest to highest |",
        "|---|---|---|---|",
    ]
    names = {"JPEG files": "ours, bf16", "`data fake`": "ours, from memory", "the same batch": "ours, the same batch"}
    for name, key in names.items():
        cells = f"{speed(settings.batch, taken[key])} | {ratio(taken['ours, the same batch'], taken[key])}"
        lines.append(f"| {name} | {cells} |")
    return lines


def shares(sides: dict[str, dict[str, float]]) -> list[str]:
    parts = ("data", "prepare", "forward", "loss and metrics", "backward", "guard", "optimizer", "rest")
    lines = [
        "### Where the time goes",
        "",
        "Of a step of these trainings, in percent. Data is waiting for the loader; prepare, what is done to a batch on "
        "the device; guard, the look at whether all is finite.",
        "",
        f"| | {' | '.join(parts)} |",
        "|---" * (len(parts) + 1) + "|",
    ]
    for name, found in sides.items():
        lines.append(f"| {name} | {' | '.join(f'{found.get(part, 0):.1f}' for part in parts)} |")
    return lines


# (d): tricks


def tricks(settings: Settings, device: torch.device) -> list[str]:
    """What each trick adds to a step."""
    lines = [
        "### What tricks cost",
        "",
        f"The time of a step with a trick over that without: ResNet-50, 64 × 64 pixels, batches of "
        f"{settings.trick_batch}, on the same batch again and again; {settings.trick_rounds} rounds of "
        f"{settings.trick_steps} step{'s' * (settings.trick_steps > 1)} each. Middle half is of the rounds.",
        "",
        "| | statement | more time, median | middle half | lowest to highest |",
        "|---|---|---|---|---|",
    ]
    batch, sets = made_up(settings.trick_batch, 64, 1000, device)
    size = f"batch {settings.trick_batch}"

    def turn(*statements: str) -> Turn:
        trainer = trainer_of(plan_of(PLAIN, size, *statements), sets, device)
        return partial(seconds, stepping(trainer, batch), settings.trick_steps, device)

    without = turn()
    with tempfile.TemporaryDirectory() as folder:
        teacher = Path(folder) / "teacher.recipe"
        teacher.write_text(TEACHER)
        for name, statement in {"none (how far it can be told)": "", **TRICKS}.items():
            statements = [statement.format(teacher=teacher)] if statement else []
            taken = turns({"without": without, "with": turn(*statements)}, settings.trick_rounds)
            more = sorted(100 * (b / a - 1) for a, b in zip(taken["without"], taken["with"], strict=True))
            shown = f"`{statement.format(teacher='teacher.recipe')}`" if statement else ""
            middle = more[len(more) // 4], more[-1 - len(more) // 4]
            cells = f"{statistics.median(more):+.1f} % | {middle[0]:+.1f} to {middle[1]:+.1f} %"
            lines.append(f"| {name} | {shown} | {cells} | {more[0]:+.1f} to {more[-1]:+.1f} % |")
    return lines


# (g): the roofline


def bandwidth(device: torch.device, size: int = 2**32) -> float:
    """Bytes a second that a large copy reads and writes."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds(lambda: target.copy_(source), 2, device)
    return 2 * size / seconds(lambda: target.copy_(source), 10, device)


def roofline(settings: Settings, device: torch.device) -> list[str]:
    """Images a second on CUDA, beside what memory allows."""
    title = ["### Beside the memory's bandwidth", ""]
    if device.type != "cuda":
        return [*title, "Measured on CUDA only."]
    moved = bandwidth(device)
    most = moved / BYTES_AN_IMAGE
    lines = [
        *title,
        f"Training steps at {SIZE} × {SIZE} pixels on the same batch, channels last. A large copy moves "
        f"{moved / 1e9:.0f} GB/s; at {BYTES_AN_IMAGE / 1e6:.0f} MB an image that allows {most:.0f} images a second.",
        "",
        "| | batch | precision | | images a second | of what memory allows |",
        "|---|---|---|---|---|---|",
    ]
    for name, text in SPEEDS.items():
        for form in ("fp16", "bf16"):
            for compiled in ("", "compile"):
                for batch in settings.batches:
                    rate = alone(f"{text}; precision {form}; layout channels-last; {compiled}", batch, settings, device)
                    cells = f"{compiled or 'eager'} | {rate:.0f} | {100 * rate / most:.0f} %"
                    lines.append(f"| {name} | {batch} | {form} | {cells} |")
    return lines


def alone(text: str, batch: int, settings: Settings, device: torch.device) -> float:
    """Images a second of one training on the same batch: the median of a few turns, after a warm-up."""
    torch._dynamo.reset()
    made, sets = made_up(batch, SIZE, 1000, device)
    step = stepping(trainer_of(plan_of(text, f"batch {batch}", "lr 0.01"), sets, device), made)
    seconds(step, 5, device)
    return batch / statistics.median(seconds(step, settings.steps, device) for _ in range(3))


PARTS = {"rewritten": rewritten, "files": from_files, "tricks": tricks, "roofline": roofline}


def section(quick: bool = False, parts: tuple[str, ...] = tuple(PARTS)) -> list[str]:
    """The measurements, as lines of Markdown."""
    device = pick()
    settings = Settings.of(device, quick)
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else f"the CPU, {torch.get_num_threads()} threads"
    where = "CUDA" if cuda else "a CPU"
    lines = [f"## Training on {where}", "", f"On {name}, torch {torch.__version__}. All that is compared takes turns."]
    for part in parts:
        lines += ["", *PARTS[part](settings, device)]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Time trainings, and print the measurements as Markdown.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="as little as shows that all works")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    print("\n".join(section(asked.quick, tuple(asked.parts) or tuple(PARTS))))


if __name__ == "__main__":
    main()
