"""How often an epoch uses the images of each class, and how much they count, as `recipe explain` shows them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import recipe
from recipe.api import InMemory, Sets
from recipe.explain.balance import as_text, balance_of
from recipe.explain.program import as_dict, explain
from tests.docs.schemas import validate
from tests.helpers import bind
from tests.inference.helpers import paint

COUNTS = (60, 25, 10, 5)
TEXT = "base resnet18; data fake size=8 classes=4 images=100; batch 10"


def uneven(counts: tuple[int, ...], names: tuple[str, ...] = ()) -> Sets:
    labels = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    images = InMemory(torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8), labels)
    return Sets(images, images, len(counts), names=names)


def test_repeated_images_and_weights_are_counted() -> None:
    found = balance_of(bind(f"{TEXT}; sample balanced; loss weights"), uneven(COUNTS, ("a", "b", "c", "d")))
    assert (found["images"], found["per_epoch"], found["distinct"]) == (100, 100, 25 + 25 + 10 + 5)
    assert [one["name"] for one in found["classes"]] == ["a", "b", "c", "d"]
    assert [one["images"] for one in found["classes"]] == [*COUNTS]
    assert [one["per_epoch"] for one in found["classes"]] == [25, 25, 25, 25]
    assert [one["weight"] for one in found["classes"]] == pytest.approx([100 / 4 / count for count in COUNTS])


def test_without_weights_classes_have_none() -> None:
    found = balance_of(bind(f"{TEXT}; sample balanced"), uneven(COUNTS))
    assert [(one["name"], one["weight"]) for one in found["classes"]] == [(str(label), None) for label in range(4)]


def test_of_many_classes_the_largest_and_the_smallest_are_shown() -> None:
    counts = tuple(range(1, 31))
    shown = as_text(balance_of(bind(f"{TEXT.replace('=4', '=30')}; loss weights"), uneven(counts)))
    rows = shown.split("\n")[2:]
    assert [row.split()[0] for row in rows] == [*map(str, [*range(10), *range(20, 30)]), "…"]
    assert rows[-1].strip() == "… 10 between"


def test_an_explanation_shows_them_if_the_images_can_be_opened(tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "red", "red", 12, 0), paint(tmp_path / "photos" / "blue", "blue", 4, 1)
    text = f'base timm:test_resnet; data folder "{tmp_path}/photos" size=32 workers=0 val=20%; batch 4; loss weights'
    program = recipe.compile(text, device="meta")
    data = as_dict(program, "cpu")
    validate("explain", data)
    blue, red = data["balance"]["classes"]
    assert blue["weight"] / red["weight"] == pytest.approx(red["images"] / blue["images"])
    shown, row = explain(program, "cpu"), rf"\n +blue +{blue['images']} "
    assert re.search(rf"\nclasses: an epoch uses \d+ images, \d+ .*\n.*{row}", shown)
    assert "balance" not in as_dict(recipe.compile(text.replace("; loss weights", ""), device="meta"), "cpu")
