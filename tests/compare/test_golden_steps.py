"""The paper's Table 5 as diffs between A, B, C and D, with the numbers of the golden files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.compare.helpers import compared
from tests.helpers import ROOT

GOLDEN = json.loads((ROOT / "tests" / "goldens" / "paper.json").read_text())["resnet50"]
VARIANTS = {
    "A": "base resnet50; tweak A",
    "B": "base resnet50",
    "C": "base resnet50; tweak C",
    "D": "base resnet50; tweak C D",
}
STAGES = (("layer2", "layer2.0"), ("layer3", "layer3.0"), ("layer4", "layer4.0"))


def lines(a: str, b: str) -> list[tuple[Any, ...]]:
    return [
        (row.change, row.stage, row.node.address, row.node.kind, row.settings, row.by)
        for row in compared(VARIANTS[a], VARIANTS[b]).graph
    ]


@pytest.mark.parametrize(("a", "b"), ["AB", "BC", "CD", "AD"])
def test_costs_change_as_in_the_paper(a: str, b: str) -> None:
    total = compared(VARIANTS[a], VARIANTS[b]).costs[-1].numbers
    assert total["params"] == (GOLDEN[a]["params"], GOLDEN[b]["params"])
    assert total["macs"] == (GOLDEN[a]["macs"], GOLDEN[b]["macs"])
    assert total["flops"] == (2 * GOLDEN[a]["macs"], 2 * GOLDEN[b]["macs"])


def test_from_a_to_b_the_stride_moves() -> None:
    found = compared(VARIANTS["A"], VARIANTS["B"])
    assert lines("A", "B") == [
        ("changed", stage, f"{block}.{conv}", "Conv2d", (("stride", before, after),), "tweak A")
        for stage, block in STAGES
        for conv, before, after in (("conv1", (2, 2), (1, 1)), ("conv2", (1, 1), (2, 2)))
    ]
    assert found.costs[-1].numbers["macs"][1] - found.costs[-1].numbers["macs"][0] == 231_211_008
    assert found.weights.loads_entirely
    assert {cost.stage for cost in found.costs if cost.differs} == {"layer2", "layer3", "layer4", "in all"}


def test_from_b_to_c_the_stem_is_deeper() -> None:
    found = compared(VARIANTS["B"], VARIANTS["C"])
    kinds = ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]
    assert {line[5] for line in lines("B", "C")} == {"tweak C"}
    assert [line[:4] for line in lines("B", "C")] == [
        ("removed", "stem", "conv1", "Conv2d"),
        *(("added", "stem", f"conv1.{index}", kind) for index, kind in enumerate(kinds)),
    ]
    numbers = found.costs[-1].numbers
    assert numbers["macs"][1] - numbers["macs"][0] == 239_640_576
    assert numbers["params"][1] - numbers["params"][0] == 19_232
    assert found.weights.lost == ("conv1.weight",)
    assert {name.rpartition(".")[0] for name in found.weights.new} == {f"conv1.{i}" for i in (0, 1, 3, 4, 6)}
    assert {cost.stage for cost in found.costs if cost.differs} == {"stem", "in all"}


def test_from_c_to_d_three_pools_are_inserted_and_nothing_costs_more() -> None:
    found = compared(VARIANTS["C"], VARIANTS["D"])
    assert [line[:3] for line in lines("C", "D")] == [
        line
        for stage, block in STAGES
        for line in (
            ("added", stage, f"{block}.downsample.0_pool"),
            ("changed", stage, f"{block}.downsample.0"),
        )
    ]
    assert {line[4] for line in lines("C", "D") if line[0] == "changed"} == {(("stride", (2, 2), (1, 1)),)}
    assert {line[3] for line in lines("C", "D") if line[0] == "added"} == {"AvgPool2d"}
    assert not any(cost.differs for cost in found.costs)


def test_d_alone_loads_every_checkpoint_of_a() -> None:
    found = compared("base resnet50; tweak A", "base resnet50; tweak A D")
    assert found.weights.loads_entirely
    assert "a checkpoint of A loads entirely: 320 of 320 tensors" in found.to_text()


def test_a_stem_for_gray_images_loads_adapted() -> None:
    """Its weights for three channels are added up when they are loaded, and those for one are spread."""
    color, gray = "base resnet18; data fake size=32 classes=4 images=8", "; input channels=1"
    for a, b in ((color, color + gray), (color + gray, color)):
        weights = compared(a, b).weights
        assert (weights.adapted, weights.reshaped) == (("conv1.weight",), ())
        assert weights.loads_entirely
        assert "a checkpoint of A loads entirely: 122 of 122 tensors" in compared(a, b).to_text(100, False)
    deeper = compared(color, f"{color}{gray}; tweak C").weights
    assert (deeper.adapted, deeper.lost) == ((), ("conv1.weight",))
