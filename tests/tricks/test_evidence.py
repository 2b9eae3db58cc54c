"""Evidence from the tables of the paper, compared with the goldens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recipe.tricks import _paper
from tests.helpers import ROOT, bind, command

GOLDEN = json.loads((ROOT / "tests" / "goldens" / "paper.json").read_text())


def test_the_figures_match_the_goldens() -> None:
    table4 = GOLDEN["table4_cumulative_resnet50_top1_top5"]
    rows = [row.removeprefix("+ ") for row in table4["rows"]]
    assert list(_paper.TABLE4) == rows
    assert list(_paper.TABLE4.values()) == [
        (small[0], large[0]) for small, large in zip(table4["BS256"], table4["BS1024"], strict=True)
    ]
    assert {name: GOLDEN["resnet50"][name]["top1"] for name in "ABCD"} == _paper.TABLE5
    for network, figures in _paper.TABLE6.items():
        assert list(figures.values()) == [top1 for top1, _ in GOLDEN["table6_stacked_top1_top5"][network]]


@pytest.mark.parametrize(
    ("text", "word", "verdict", "said"),
    [
        ("base resnet50; tweak C", "tweak C", "for", "76.66 % → 76.87 %, +0.21"),
        ("base resnet50; tweak C D", "tweak D", "for", "76.87 % → 77.16 %, +0.29"),
        ("base resnet50; tweak D", "tweak D", "against", "without `tweak C` was not measured"),
        ("base resnet50; lr per 256; batch 1024", "lr per", "against", "75.17 %, against 75.87 % at batch 256"),
        ("base resnet50; lr per 256 warmup 5; batch 1024", "lr warmup", "for", "75.17 % → 75.93 %, +0.76"),
        ("base resnet50; init zero-gamma; batch 1024", "init zero-gamma", "for", "75.93 % → 76.37 %, +0.44"),
        ("base resnet50; decay no-bias", "decay no-bias", "mixed", "76.19 % → 76.16 %, −0.03"),
        ("base inception_v3; lr cosine", "lr cosine", "for", "77.50 % → 78.19 %, +0.69"),
        ("base mobilenet_v2; loss smooth", "loss smooth", "for", "72.83 % → 72.93 %, +0.10"),
        ("base mobilenet_v2; augment mixup", "augment mixup", "for", "72.93 % → 73.28 %, +0.35"),
        ('base mobilenet_v2; loss distill "T"', "loss distill", "against", "72.93 % → 71.97 %, −0.96"),
        ('base mobilenet_v2; loss distill "T"; augment mixup', "loss distill", "against", "73.28 % → 72.51 %, −0.77"),
        ('base inception_v3; loss distill "T"', "loss distill", "against", "78.40 % → 78.26 %, −0.14"),
        ('base resnet50; loss distill "T"', "loss distill", "for", "78.31 % → 78.67 %, +0.36"),
    ],
)
def test_evidence(text: str, word: str, verdict: str, said: str, tmp_path: Any) -> None:
    teacher = tmp_path / "T"
    teacher.write_text("base resnet18")
    plan = bind(text.replace('"T"', f'"{teacher}"'))
    found = [one for use, one in plan.evidence if use.word == word]
    assert [(one.verdict, said in one.text) for one in found] == [(verdict, True)]
    warned = [diagnostic for diagnostic in plan.warnings if diagnostic.code == "W002" and said in diagnostic.message]
    assert len(warned) == (verdict == "against")


@pytest.mark.parametrize(
    "text", ["base vgg11; lr cosine", "base resnet50; lr per 256 warmup 5; batch 256; precision bf16"]
)
def test_tricks_outside_the_tables_have_no_evidence(text: str) -> None:
    assert not [one for use, one in bind(text).evidence if use.word in ("lr cosine", "lr per", "precision")]


def test_explain_shows_evidence_and_check_warns() -> None:
    text = "base resnet50; lr per 256; batch 1024; tweak C; augment mixup"
    explained = command("explain", text, "--device", "cpu").stdout
    assert "evidence from published tables, on ImageNet" in explained
    assert "78.31 % → 79.15 %, +0.84" in explained
    checked = command("check", text)
    assert checked.status == 0
    assert "warning[W002]: linear scaling without warmup hurts at batch 1024" in checked.stdout
