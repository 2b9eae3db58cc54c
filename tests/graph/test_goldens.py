"""The static costs of the paper's ResNets, to the last digit."""

import json
from pathlib import Path

import pytest

import recipe

PAPER = json.loads((Path(__file__).parents[1] / "goldens" / "paper.json").read_text("utf-8"))
VARIANTS = {"A": "tweak A", "B": "tweak B", "C": "tweak C", "D": "tweak C D"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_costs_of_resnet50(variant):
    golden = PAPER["resnet50"][variant]
    costs = recipe.compile(f"base resnet50; {VARIANTS[variant]}", device="meta").costs
    assert (costs.params, costs.macs) == (golden["params"], golden["macs"])
    assert costs.flops == 2 * golden["macs"]


def test_stock_torchvision_is_variant_b_of_the_paper():
    assert PAPER["stock_torchvision_is"] == "B"
    costs = recipe.compile("base resnet50", device="meta").costs
    assert (costs.params, costs.macs) == tuple(PAPER["resnet50"]["B"][key] for key in ("params", "macs"))


@pytest.mark.parametrize(("more", "less"), [("B", "A"), ("C", "B")])
def test_a_tweak_changes_only_the_stages_it_touches(more, less):
    one, other = (recipe.compile(f"base resnet50; {VARIANTS[name]}", device="meta").costs for name in (more, less))
    changed = {stage for stage in one.stages if one.stages[stage] != other.stages[stage]}
    assert changed == {"B": {"layer2", "layer3", "layer4"}, "C": {"stem"}}[more]
