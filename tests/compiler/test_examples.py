"""Every shipped example compiles. Those of the paper's tables have the paper's models and schedules."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

import recipe

ROOT = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("**/*.recipe") if "plugin" not in path.parts)
GOLDENS = json.loads((Path(__file__).parents[1] / "goldens" / "paper.json").read_text())


def compiled(name: str) -> recipe.Program:
    return recipe.compile(ROOT / name, device="meta")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_compiles(name: str) -> None:
    program = compiled(name)
    assert program.costs.macs > 0
    unneeded = {"tweak B"} | ({"init xavier"} if program.fit else set())  # pretrained weights need no initialization
    assert all(program.sites[word] > 0 for word in program.sites if word not in unneeded)


@pytest.mark.parametrize(("name", "variant"), [("", "A"), ("-b", "B"), ("-c", "C"), ("-d", "D")])
def test_the_models_of_table_5(name: str, variant: str) -> None:
    costs = compiled(f"paper/table5-resnet50{name}.recipe").costs
    golden = GOLDENS["resnet50"][variant]
    assert (costs.params, costs.macs) == (golden["params"], golden["macs"])


@pytest.mark.parametrize("batch", [256, 1024])
def test_the_rows_of_table_4_add_one_thing_each(batch: int) -> None:
    names = ("1-linear-scaling", "2-warmup", "3-zero-gamma", "4-no-bias-decay", "5-fp16")
    plans = [compiled(f"paper/table4-bs{batch}-{name}.recipe").plan for name in names]
    words = [{use.word for use in plan.uses} for plan in plans]
    added = [after - before for before, after in itertools.pairwise(words)]
    assert added == [{"lr warmup"}, {"init zero-gamma"}, {"decay no-bias"}, set()]
    assert [plan.training.precision for plan in plans] == ["fp32"] * 4 + ["fp16"]
    assert {plan.training.batch for plan in plans} == {batch}
    assert {plan.training.rate for plan in plans} == {0.1 * batch / 256}


@pytest.mark.parametrize("family", ["resnet50-d", "inception-v3", "mobilenet"])
def test_the_rows_of_table_6(family: str) -> None:
    names = (
        "efficient",
        "cosine",
        "label-smoothing",
        "distill-without-mixup",
        "mixup-without-distill",
        "distill-with-mixup",
    )
    plans = [compiled(f"paper/table6-{family}-{n}-{name}.recipe").plan for n, name in enumerate(names, 1)]
    has = [
        [plan.find(word) is not None for plan in plans]
        for word in ("lr cosine", "loss smooth", "loss distill", "augment mixup")
    ]
    assert has == [
        [False, True, True, True, True, True],
        [False, False, True, True, True, True],
        [False, False, False, True, False, True],
        [False, False, False, False, True, True],
    ]
    assert [plan.training.epochs for plan in plans] == [120, 120, 120, 120, 200, 200]
