"""JSON that the tool writes: for each schema, outputs that together have every field."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import attrs
import numpy as np
from safetensors.torch import save_file

import recipe
from recipe.ablation.cells import execute as execution
from recipe.ablation.report.chosen import Chosen, Report
from recipe.ablation.report.confirmation import Confirmation
from recipe.ablation.report.screening import Screening
from recipe.ablation.statistics.looks import Until
from recipe.ablation.statistics.results import Cell, Estimate, Interval
from recipe.base import failure
from recipe.compare import measure as measuring
from recipe.compare.api import Diff
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.environment import LONGEST
from recipe.showing.api import show_data
from tests.ablation.helpers import PLUGIN, MadeUp, execute, made
from tests.ablation.test_kept import calmed
from tests.ablation.test_screening import TRICKS, result
from tests.ablation.test_screening import table as screening
from tests.compare.helpers import known
from tests.durability.keeping import Drawn
from tests.durability.photos import with_broken_images
from tests.durability.trials import small
from tests.helpers import command, vocabulary_with
from tests.inference.helpers import paint
from tests.showing.helpers import Own, wrong

CONFLICT = "base resnet18; tweak se; tweak se; lr cosine; lr step 8"
"""A recipe whose errors point at other places too."""


def diagnostics() -> Iterator[Any]:
    warned = "base resnet18; data digits; epochs 3; lr warmup 3"
    yield json.loads(command("check", CONFLICT, warned, "nowhere.recipe", "--format", "json").stdout)
    yield json.loads(command("check", "base resnet18; data digits", "--format", "json").stdout)


def failures() -> Iterator[Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "failure.json"
        with mock.patch.dict("os.environ", {failure.VARIABLE: str(path)}):
            for words in (["run", CONFLICT], ["run", "lr 1; " * 20_000]):
                assert command(*words).status == 2
                yield json.loads(path.read_text("utf-8"))
            text = "base resnet18; data fake size=32 classes=10 images=8; batch 4; epochs 1; lr 1000; init stock"
            options = ["--out", Path(folder) / "run", "--device", "cpu", "--save-every", "500"]
            assert command("run", text, *options).status == 3
            yield json.loads(path.read_text("utf-8"))
            failure.leave(ValueError("a fault in the tool"))
            yield json.loads(path.read_text("utf-8"))


def explanations() -> Iterator[Any]:
    rewritten = "base resnet50; tweak C D se; init zero-gamma; lr warmup 5 cosine; epochs 5"
    digits = "base resnet18; lr step 3 6; data digits; dialect gluoncv"
    for text in (rewritten, digits, f"{digits}; loss weights", f"{digits}; sample balanced"):
        yield json.loads(command("explain", text, "--json", "--device", "cpu").stdout)
    with TemporaryDirectory() as folder:
        state = recipe.compile("base squeezenet1_1 classes=4; init stock").model.state_dict()
        state |= {"features.0.bias": state["features.0.bias"].half(), "other": state["features.3.squeeze.bias"].clone()}
        state = {f"module.{name}": tensor for name, tensor in state.items()}
        save_file(state, weights := Path(folder) / "w.safetensors")
        text = f'base squeezenet1_1 weights="{weights}"; data digits'
        yield json.loads(command("explain", text, "--json", "--device", "cpu").stdout)


class _Timed:
    """Stands in for a process that trains a recipe."""

    def __init__(self, task: dict[str, Any]) -> None: ...

    def train(self) -> dict[str, Any]:
        return {"seconds": 0.5, "peak": 2**30}

    def stop(self) -> None: ...


def differences() -> Iterator[Any]:
    pairs = [
        ("base resnet18", "base resnet50; tweak C D; decay no-bias; dialect torchvision; batch 512"),
        ("base resnet18; tweak A; augment mixup; loss smooth", "base resnet18 classes=9; tweak blurpool; data digits"),
        ("base vgg11", "base vgg13; augment mixup"),
        ("base resnet18; data digits", "base resnet18; data digits; input channels=1"),
    ]
    for a, b in pairs:
        yield json.loads(command("diff", a, b, "--json").stdout)
    with mock.patch.object(measuring, "_Worker", _Timed):
        yield json.loads(command("diff", "base resnet18", "+", "seed 1", "--measure", "--device=cpu", "--json").stdout)
    plan, facts = known("base resnet18; augment jitter pca-noise")
    word = {use.word: use for use in plan.uses}
    first, second = word.pop("augment jitter"), word.pop("augment pca-noise")
    plans = [attrs.evolve(plan, uses=(*word.values(), *pair)) for pair in ((first, second), (second, first))]
    yield json.loads(Diff.between("a", plans[0], facts, "b", plans[1], facts).to_json())


def tables() -> Iterator[Any]:
    with TemporaryDirectory() as folder, mock.patch.object(execution, "POLL", 0.001):
        study = made(Path(folder) / "whole", over=("tweak D",), seeds=3)
        execute(study, MadeUp({study.tasks[-1].name: (3, "diverged")}))
        study.write()
        yield json.loads((study.folder / "table.json").read_text("utf-8"))
        single = made(Path(folder) / "one", mode="drop", over=("tweak D",), seeds=1)
        yield json.loads(single.table().to_json())
        execute(single, MadeUp())
        table = single.table()
        correct = {cell.name: np.arange(50) % 7 < 3 for line in table.lines for cell in line.cells}
        yield json.loads(attrs.evolve(table, correct=correct).to_json())
        right = Chosen(1, "− tweak D", 0.75, None, None, 1, 0, "full recipe", Estimate(0.0, seeds=1))
        whole = Chosen(0, "full recipe", 0.75, 0.01, 0.1, 2)
        varied = attrs.evolve(right, difference=Estimate(0.1, Interval(0.0, 0.2), images=0.1, seeds=2))
        for report in (
            Report("held-out", 0.2),
            Report("held-out", 0.2, 40, 10, None, right),
            Report("test", None, None, 10, 1, whole),
            Report("test", None, 50, 10, 2, varied),
        ):
            yield json.loads(attrs.evolve(table, report=report).to_json())
    yield from screenings()


def screenings() -> Iterator[Any]:
    """Tables of screenings: with images, aliases and a lost row; with one seed and lost combinations; with replaced
    combinations; with a trick without results; empty; and with a trick that makes runs less noisy."""
    found = result({0: 0.03, 1: 0.02}, {(0, 1): -0.06})
    whole = screening(found, *TRICKS[:4])
    correct = {cell.name: np.arange(50) % 7 < 3 + cell.seed for line in whole.lines for cell in line.cells}
    yield json.loads(attrs.evolve(whole, correct=correct).to_json())
    yield json.loads(screening(lambda on, row, seed: found(on, row, seed) if row else None, resolution=3).to_json())
    yield json.loads(screening(found, "lr step 1", "lr cosine", "ema 0.9", seeds=1).to_json())
    yield json.loads(screening(found, "lr step 1", "lr cosine", "ema 0.9", "tweak D").to_json())
    yield json.loads(screening(lambda on, row, seed: None if on[0] else found(on, row, seed), *TRICKS[:3]).to_json())
    yield json.loads(screening(lambda on, row, seed: None, *TRICKS[:3]).to_json())
    calmer = calmed({1: 0.1})
    calm = screening(lambda on, row, seed: None if seed == row % 3 else calmer(on, row, seed), seeds=3)
    correct = {cell.name: np.arange(50) % 7 < 3 + cell.seed for line in calm.lines for cell in line.cells}
    yield json.loads(attrs.evolve(calm, correct=correct).to_json())
    yield json.loads(screening(calmer, seeds=3).to_json())
    yield from confirmations(attrs.evolve(whole, correct=correct))


def confirmations(whole: Screening) -> Iterator[Any]:
    """Screenings with a confirmation: all of it, one seed after a short screening, and nothing yet."""
    assert whole.best is not None
    draws = np.random.default_rng(0)
    all_of_it, seed, nothing = (
        tuple(
            attrs.evolve(
                line,
                statements=("tweak D",),
                cells=tuple(
                    Cell(f"{at}/{seed}", seed, "finished", float(draws.uniform()), 0.5, 1.0, 2**30, "fp32", "torch")
                    if done
                    else Cell(f"{at}/{seed}", seed)
                    for seed in range(2, 4)
                    if done != 1 or seed == 2
                ),
            )
            for at, line in enumerate(whole.lines[:3])
        )
        for done in (2, 1, 0)
    )
    on = tuple(map(tuple, whole.design.levels[:3].tolist()))
    correct = {**whole.correct, **{cell.name: np.arange(50) % 7 < 4 for line in all_of_it for cell in line.cells}}
    for lines, screened in ((all_of_it, whole.lines), (seed, ()), (nothing, whole.lines)):
        confirmation = Confirmation(on, lines, (0.1, 0.2, 0.3), whole.best, screened, correct if screened else {})
        yield json.loads(attrs.evolve(whole, confirmation=confirmation).to_json())
    look = Until(0.001, 2, 20).begin(len(whole.lines))
    yield json.loads(attrs.evolve(whole, look=look).to_json())


def looks() -> Iterator[Any]:
    """Looks at a dataset with everything that can be wrong, and at one that is loaded by code of its own."""
    with TemporaryDirectory() as folder:
        yield show_data(f'base resnet18; data folder "{wrong(Path(folder))}" size=32').to_dict()
        yield show_data("base resnet18; data own", plugins=vocabulary_with(Own)).to_dict()


@cache
def _runs() -> tuple[dict[str, Any], ...]:
    """What runs leave: with averaged weights, broken images, the best weights by a metric, a test, and resumed at the
    end."""
    texts = ["data fake size=32 classes=10 images=8; epochs 1; batch 4 micro 2; ema 0.9; tweak D; lr 0.01"]
    with TemporaryDirectory() as folder:
        photos = with_broken_images(Path(folder) / "photos")
        texts.append(f'data folder "{photos}" size=32 workers=0 on-error=skip; epochs 1; batch 4; lr 0.01')
        left = []
        texts.append(f"{texts[0]}; metric drawn; keep best by=balanced")
        for name in map(str, range(10)):
            paint(Path(folder) / "ten" / name, "red", 6, int(name))
        data = f'data folder "{Path(folder) / "ten"}" size=32 workers=0 on-error=skip val=30% test=30%'
        texts.append(f"{data}; epochs 1; batch 4; lr 0.01; metric drawn; keep best by=balanced")
        texts.append(texts[1].replace("on-error=skip", "on-error=skip test=40%"))
        words = vocabulary_with(Drawn)
        for place, (text, classes) in enumerate(zip(texts, (10, 2, 10, 10, 2), strict=True)):
            program, out = recipe.compile(text, base=small(classes), plugins=words), Path(folder) / str(place)
            for _ in range(2):
                recipe.run(program, out=out, device="cpu", resume=True)
                left.append(_left(out))
                (out / "summary.json").unlink()
        return tuple(left)


@cache
def _with_plugin(padding: int = 0) -> dict[str, Any]:
    """What a run leaves that uses a trick from a file, padded with spaces, and pretrained weights from another one."""
    text = "base shufflenet_v2_x0_5; data fake size=32 classes=10 images=8; batch 8; epochs 1; lr 0.01"
    with TemporaryDirectory() as folder:
        weights, plugin = Path(folder) / "first" / "model.safetensors", Path(folder) / "dim.py"
        plugin.write_text(PLUGIN.replace("PART", "0.5") + " " * padding, "utf-8")
        recipe.run(text, out=weights.parent, device="cpu")
        vocabulary = Vocabulary.installed([plugin])
        out = Path(folder) / "second"
        recipe.run(text, f'base shufflenet_v2_x0_5 weights="{weights}"; augment dim', out=out, plugins=vocabulary)
        return _left(out)


@cache
def _used() -> dict[str, list[Any]]:
    """What the commands print that use runs: of ten classes, and of two classes with broken images."""
    with TemporaryDirectory() as folder:
        photos, runs = with_broken_images(Path(folder) / "photos"), Path(folder) / "runs"
        ten, two = runs / "ten", runs / "two"
        short = "base shufflenet_v2_x0_5; init stock; batch 16; epochs 1; lr 0.001"
        recipe.run(short, "data fake size=32 classes=10 images=64", "keep best", out=ten, device="cpu")
        data = f'data folder "{photos}" size=32 workers=0 on-error=skip test=40%'
        recipe.run(short, data, out=two, device="cpu")
        others = f'data folder "{photos / "val"}" on-error=skip'
        seen = Path(folder) / "seen"
        recipe.run(short, data.replace(" test=40%", ""), out=seen, device="cpu")
        turned = f'data folder train="{photos / "val"}" val="{photos / "train"}" on-error=skip'
        on = ([ten], [two, others], [seen, turned])
        evaluations = [command("evaluate", *words, "--json", "--device", "cpu") for words in on]
        predictions = command("predict", two, photos / "val", "--jsonl", "--device", "cpu").stdout.splitlines()
        (shutil.copytree(two, runs / "stopped") / "summary.json").unlink()
        for name, text in {"fresh": (ten / "recipe.lock").read_text("utf-8"), "unreadable": "base"}.items():
            (runs / name).mkdir()
            (runs / name / "recipe.lock").write_text(text, "utf-8")
        return {
            "prediction": [*map(json.loads, predictions)],
            "evaluation": [json.loads(each.stdout) for each in evaluations],
            "runs": [json.loads(command("runs", runs, "--json").stdout)],
            "explain": [
                json.loads(command("explain", run, "--json", "--device", "cpu").stdout)
                for run in (ten, two, runs / "stopped", runs / "fresh")
            ],
            "diff": [
                json.loads(command("diff", *pair, "--json").stdout)
                for pair in ((ten, ten), (two, ten), (ten, runs / "stopped"), (runs / "stopped", ten))
            ],
        }


FILES = ("summary", "environment", "classes", "preprocessing", "data")


def _left(folder: Path) -> dict[str, Any]:
    read = {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in FILES}
    return {**read, "metrics": [*map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())]}


OUTPUTS: dict[str, Callable[[], list[Any]]] = {
    "diagnostics": lambda: [*diagnostics()],
    "failure": lambda: [*failures()],
    "explain": lambda: [*explanations(), *_used()["explain"]],
    "diff": lambda: [*differences(), *_used()["diff"]],
    "table": lambda: [*tables()],
    "prediction": lambda: _used()["prediction"],
    "evaluation": lambda: _used()["evaluation"],
    "runs": lambda: _used()["runs"],
    "show": lambda: [*looks()],
    "summary": lambda: [left["summary"] for left in _runs()],
    "metrics": lambda: [line for left in _runs() for line in left["metrics"]],
    "environment": lambda: [left["environment"] for left in (*_runs(), _with_plugin(), _with_plugin(LONGEST))],
    "classes": lambda: [left["classes"] for left in _runs()],
    "preprocessing": lambda: [left["preprocessing"] for left in _runs()],
    "data": lambda: [left["data"] for left in (*_runs(), _with_plugin())],
}
