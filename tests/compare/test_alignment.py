"""The alignment of two graphs."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from torchvision.models import resnet18

import recipe
from recipe.compare.graph import align
from recipe.compiler.summary import ProgramSummary
from tests.compare.helpers import compared, known

PAIRS = [
    ("base resnet50", "base resnet101"),
    ("base resnet50; tweak A", "base resnet50; tweak C D"),
    ("base resnet18", "base resnet50"),
    ("base vgg11", "base vgg13"),
    ("base densenet121", "base densenet169"),
    ("base resnet50", "base mobilenet_v2"),
    ("base inception_v3", "base inception_v3 classes=10"),
    ("base resnet50", "base timm:resnet50d"),
    ("base resnet18; loss smooth", "base resnet18; loss smooth 0.2; augment mixup; decay no-bias; lr cosine"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=" | ".join)
def test_swapping_the_sides_mirrors_the_diff(pair: tuple[str, str]) -> None:
    there, back = compared(*pair), compared(*reversed(pair))
    assert align(there.a, there.b) == tuple(row.mirrored() for row in align(back.a, back.b))
    assert there.mirrored().to_dict() == back.to_dict()


@pytest.mark.parametrize("pair", PAIRS, ids=" | ".join)
def test_every_operation_is_in_one_row(pair: tuple[str, str]) -> None:
    found = compared(*pair)
    for facts, side in ((found.a, [row.a for row in found.rows]), (found.b, [row.b for row in found.rows])):
        assert Counter(node.address for node in side if node) == Counter(node.address for node in facts.nodes)
        assert len({node.address for node in facts.nodes}) == len(facts.nodes)


@pytest.mark.parametrize("text", sorted({text for pair in PAIRS for text in pair}))
def test_a_recipe_does_not_differ_from_itself(text: str) -> None:
    found = compared(text, text)
    assert found.empty
    assert not found.graph
    assert not found.words
    assert not found.settings
    assert not found.groups
    assert not found.rates_differ
    assert found.weights.loads_entirely


@pytest.mark.parametrize("text", sorted({text for pair in PAIRS for text in pair}))
def test_summaries_survive_json(text: str) -> None:
    _, facts = known(text)
    assert ProgramSummary.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


@pytest.mark.parametrize("stages", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_cost_differences_add_up(stages: list[int]) -> None:
    texts = ["base resnet50; tweak A", "base resnet101", "base mobilenet_v2"]
    a, b, c = (texts[index] for index in stages)

    def delta(one: str, other: str) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        for cost in compared(one, other).costs:
            for name, (before, after) in cost.numbers.items():
                found.setdefault(name, Counter())[cost.stage] += after - before
        return found

    for name, there in delta(a, b).items():
        via = there
        via.update(delta(b, c)[name])
        straight = delta(a, c)[name]
        assert {k: v for k, v in via.items() if v} == {k: v for k, v in straight.items() if v}


def test_blocks_of_a_deeper_network_are_paired_with_those_of_a_shallower_one() -> None:
    found = compared("base resnet50", "base resnet101")
    assert {row.change for row in found.graph} == {"added"}
    assert {row.block for row in found.graph} == {f"layer3.{number}" for number in range(6, 23)}
    assert "layer3.6 … layer3.22" in found.to_text()
    assert "17 blocks, 170 operations: 18,992,128 params" in found.to_text()


def test_a_row_names_the_trick_that_made_the_difference() -> None:
    found = compared("base resnet18; tweak D", "base resnet50; tweak D")
    assert {row.by for row in found.graph} == {""}
    found = compared("base resnet18", "base resnet50; tweak D")
    named = {row.by: row.node.address for row in reversed(found.graph) if row.stage == "layer2"}
    assert named["tweak D"] == "layer2.0.downsample.0_pool"


def test_blocks_that_grew_are_shown_layer_by_layer() -> None:
    text = compared("base resnet18", "base resnet50").to_text(160)
    assert "+ layer1.1.conv3" in text
    assert "+ layer1.2 " in text
    assert "1 block, 10 operations: 70,400 params" in text


def test_identities_are_not_operations() -> None:
    found = compared("base timm:resnet50d", "base resnet50; tweak B C D")
    assert not [row for row in found.rows if row.node.kind == "Identity"]
    assert [row for row in found.graph if row.change == "changed" and row.settings[0][0] == "reads"] == []


@pytest.mark.parametrize("pair", [("densenet121", "densenet169"), ("vit_b_16", "vit_l_16"), ("swin_t", "swin_s")])
def test_shared_operations_keep_their_inputs(pair: tuple[str, str]) -> None:
    """The operations of a deeper network of the same kind have the same inputs as those of the shallower one."""
    found = compared(*(f"base {name}" for name in pair))
    assert not [row for row in found.graph if row.settings and row.settings[0][0] == "reads"]


def test_the_first_block_of_a_transformer_is_not_part_of_the_stem() -> None:
    _, facts = known("base vit_b_16")
    assert facts.stages["stem"].params == 3 * 16 * 16 * 768 + 768 + 197 * 768 + 768
    assert len({cost.stage for cost in facts.nodes if cost.block.startswith("encoder.layers")}) == 1


def test_renumbered_layers_are_not_a_difference() -> None:
    found = compared("base vgg11", "base vgg13")
    assert [(row.change, row.node.kind) for row in found.graph] == [("added", "Conv2d"), ("added", "ReLU")] * 2


def test_another_input_is_a_difference() -> None:
    """Only an input of one operation differs. All operations and their settings are the same."""
    import attrs

    _, facts = known("base resnet18")
    place = next(index for index, node in enumerate(facts.nodes) if node.address == "layer1.1.add")
    nodes = list(facts.nodes)
    nodes[place] = attrs.evolve(nodes[place], reads=("layer1.1.bn2", "maxpool"))
    rows = align(facts, attrs.evolve(facts, nodes=tuple(nodes), digest="other"))
    assert [(row.change, row.node.address, row.settings[0][0]) for row in rows if row.change] == [
        ("changed", "layer1.1.add", "reads")
    ]


def test_models_that_differ_only_in_their_weights() -> None:
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        models.append(recipe.compile("tweak D", base=resnet18(num_classes=3), device="meta"))
    found = recipe.diff(*models)
    assert not found.empty
    assert "the models' own weights differ" in found.to_text()
    assert recipe.diff(models[0], models[0]).empty


@pytest.mark.parametrize("classes", [2, 100_000])
def test_any_number_of_classes(classes: int) -> None:
    _, facts = known(f"base resnet18 classes={classes}; loss smooth 0.1")
    assert facts.schedule.targets == pytest.approx((0.9, 0.1 / (classes - 1)))


def test_a_long_text_is_not_a_path() -> None:
    assert recipe.diff("base resnet18 #" + "." * 600, "base resnet18").empty
