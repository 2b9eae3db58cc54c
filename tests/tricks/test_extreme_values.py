"""The extreme values of each numeric field of each built-in trick change a training, are reported, or are errors.

RECIPE_TEST_MORE=3 tests all of them, not only a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

import recipe
from recipe.base.errors import RecipeError
from recipe.plugins.kinds import Number
from recipe.testing.models import small
from recipe.training.setup import prepare
from tests.helpers import sample, vocabulary

TEXT = "data fake size=32 classes=10 images=16; batch 8; epochs 2; lr 0.05"

WITHIN = {"lr step": "lr step 1", "loss bce": "loss smooth; loss bce"}
"""Statements that a trick needs to have an effect or its other values."""

ELSEWHERE = (
    "base", "data", "epochs", "seed", "compile",  # what is trained, and how fast
    "loss distill",  # needs a teacher: tests/tricks/test_distill.py
    "input",  # three channels are what most models take anyway: tests/tricks/test_input_channels.py
    "evaluation",  # it changes no training: tests/inference/test_evaluation_words.py
    "clip",  # whether a gradient exceeds the norm is unknown before the training
)  # fmt: skip


def extremes() -> Iterator[tuple[str, str]]:
    """Yield the words of each trick and a statement with the smallest or largest value of each of its fields."""
    words = vocabulary()
    for verb, clause in sorted(words.keys(), key=str):
        word = f"{verb} {clause}" if clause else verb
        if verb in (*ELSEWHERE, "include", "dialect", "drop") or word in ELSEWHERE or not words.has(verb, clause):
            continue
        for field in words.declared(verb, clause).fields:
            if isinstance(kind := field.kind, Number):
                low = kind.minimum if kind.above is None else kind.above + 1e-6
                high = kind.maximum if kind.below is None else kind.below - 1e-6
                for value in dict.fromkeys(min(max(end, -1e3), 1e3) for end in (low, high)):
                    yield word, f"{WITHIN.get(word, word)} {field.word}={int(value) if kind.whole else value!r}"


@cache
def stock(folder: Path) -> dict[str, Tensor]:
    return recipe.run(recipe.compile(TEXT, base=small()), out=folder, device="cpu").model.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize(("word", "statement"), sample(extremes(), 30))
def test_extreme_values(word: str, statement: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        program = recipe.compile(TEXT, *statement.split("; "), base=small())
        run = recipe.run(program, out=tmp_path / "run", device="cpu")
    except RecipeError:  # out of range together with other values, or it diverges
        return
    before = stock(tmp_path_factory.getbasetemp() / "stock")
    changed = any(not torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    if not changed:
        _, program = prepare(program.plan, program)
        assert [warning for warning in program.warnings if warning.code == "W001"]
