"""Messages say `1 epoch`, not `1 epochs`: a number that may be one goes through `recipe.base.wording.plural`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.helpers import ROOT

NOUNS = """
    batches blocks bytes cells channels checkpoints classes cores edits epochs errors files groups images labels
    layers lines logits names numbers operations outputs parameters processes recipes rounds rows runs seeds sites steps
    tensors threads tricks values warnings workers
"""
AFTER = re.compile(rf" (?:[a-z-]+ )?(?:{'|'.join(NOUNS.split())})\b(?!/)")

CONSTANT = re.compile(r"[A-Z_]+( - 1)?")
"""A limit, which is never one."""

ALLOWED = {
    "recipe/ablation/preparing.py: request.seeds or 'fitting'": "it identifies a budget in a file",
    "recipe/base/files.py: most": "a limit",
    "recipe/compare/text.py: diff.imageless": "a name",
    "recipe/compare/text.py: len(rows)": "of a block with several",
    "recipe/compiler/groups.py: len(default)": "of a tuple",
    "recipe/compiler/mismatches.py: program.classes": "more than the dataset has",
    "recipe/compiler/naming.py: self.channels": "the channels of images",
    "recipe/compiler/program.py: classes": "more than the model has",
    "recipe/compiler/program.py: step": "the number of a step",
    "recipe/compiler/without_effect.py: images": "a training has at least two",
    "recipe/devices/precision.py: self.asked": "a name",
    "recipe/explain/balance.py: balance['images']": "a training has at least two",
    "recipe/explain/program.py: count": "the numbers of a layer",
    "recipe/inference/evaluating.py: 'test' if on == 'test' else 'held-out'": "no number",
    "recipe/plugins/calling.py: len(result)": "one and two are listed",
    "recipe/plugins/calling.py: use.declared.package": "a name",
    "recipe/plugins/kinds.py: ' or '.join(map(str, self.counts))": "of a tuple",
    "recipe/runs/provenance.py: part": "a name",
    "recipe/showing/report.py: first.name": "a name",
    "recipe/showing/report.py: part.name": "a name",
    "recipe/testing/rules/hooks.py: what": "a name",
    "recipe/training/trainer_state.py: images": "a training has at least two",
    "tricks/data_fashion_mnist.py: ' × '.join(map(str, most))": "a limit",
    "tricks/input.py: takes": "the channels of a layer",
    "tricks/data_fashion_mnist.py: 'more' if wrong > 0 else 'fewer'": "no number",
}
"""Values before such a noun that are no numbers, or never one, and why."""


def counted(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each value that a message puts before a noun in the plural.

    Where one side of a condition is for the number 1, both are taken to be right.
    """
    tree = ast.parse(source)
    choices = [node for node in ast.walk(tree) if isinstance(node, ast.IfExp) and "1" in ast.unparse(node.test)]
    right = {id(part) for choice in choices for part in ast.walk(choice)}
    for node in ast.walk(tree):
        for value, rest in pairwise(node.values) if isinstance(node, ast.JoinedStr) and id(node) not in right else ():
            if not isinstance(value, ast.FormattedValue) or not isinstance(rest, ast.Constant):
                continue
            text = ast.unparse(value.value)
            if AFTER.match(str(rest.value)) and not text.startswith("plural(") and not CONSTANT.fullmatch(text):
                yield value.lineno, text


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('f"{epochs} epochs"', ["epochs"]),
        ('f"there are {len(paths)} held-out images of {side} pixels"', ["len(paths)"]),
        ("f\"{plural(epochs, 'epoch')} and {speed:.0f} images/s\"", []),
        ('"1 epoch" if epochs == 1 else f"{epochs} epochs"', []),
        ('f"more than {MOST_CLASSES:,} classes"', []),
    ],
)
def test_numbers_before_plurals_are_found(source: str, found: list[str]) -> None:
    assert [text for _, text in counted(source)] == found


def test_no_message_puts_a_number_that_may_be_one_before_a_plural() -> None:
    files = [path for folder in ("recipe", "tricks") for path in (ROOT / folder).rglob("*.py")]
    found = {f"{path.relative_to(ROOT)}: {text}" for path in files for _, text in counted(path.read_text("utf-8"))}
    assert sorted(found) == sorted(ALLOWED)
