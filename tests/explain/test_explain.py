"""Explanations of recipes and tricks: their text and data match the program they explain."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import recipe
from recipe.base.wording import summary_line
from recipe.compiler.program import Program
from recipe.explain.program import as_dict, explain
from recipe.explain.tricks import page
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import command
from tests.training.helpers import train


@pytest.fixture(scope="module")
def program() -> Program:
    return recipe.compile("base resnet18; tweak C D; decay no-bias; batch 256; lr warmup 5 cosine", device="meta")


def test_the_text_shows_costs_and_every_trick(program: Program) -> None:
    text = explain(program, "cpu")
    assert f"{program.costs.params:,}" in text
    for use in program.plan.uses:
        assert use.word in text


def test_the_data_is_valid_json_and_names_the_trick_of_each_edit(program: Program) -> None:
    data = json.loads(json.dumps(as_dict(program, "cpu")))
    assert {edit["trick"] for edit in data["edits"]} == {"init xavier", "tweak C", "tweak D"}, (
        "`init xavier` is a default"
    )


def test_spans_are_shown_with_their_origins_and_steps() -> None:
    text = "base timm:test_resnet; data fake size=32 classes=10 images=1280; batch 128; epochs 20; "
    text += (
        "loss bce from=25% until=10 smooth 0.2 until=99.5%; augment mixup until=1.26; clip 1 from=20; sam from=19.95"
    )
    found = recipe.compile(text, device="meta")
    shown = explain(found, "cpu")
    assert re.search(r"until +10 +<text>:1:\d+\n", shown)
    assert re.search(r"from +25% +<text>:1:\d+\n", shown)
    assert "  loss: loss bce reduction=mean from=25% until=10, cross entropy otherwise\n" in shown
    assert "mixed by augment mixup alpha=0.2 until=1.26\n" in shown
    assert "  `loss bce` acts from epoch 5 to 10 of 20 (steps 51 to 100 of 200)\n" in shown
    assert "  `loss smooth` acts from epoch 0 to 19.9 of 20 (steps 1 to 199 of 200)\n" in shown
    assert "  `augment mixup` acts from epoch 0 to 1.26 of 20 (steps 1 to 13 of 200)\n" in shown
    assert "  `clip` acts in no step\n" in shown
    assert "  `sam` acts in no step\n" in shown
    tricks = {each["trick"]: each["values"] for each in as_dict(found, "cpu")["plan"]["tricks"]}
    assert tricks["loss bce"]["from"]["value"] == "25%"
    assert tricks["loss bce"]["until"]["value"] == 10.0


def test_a_page_starts_with_the_syntax_and_lists_every_field(vocabulary: Vocabulary) -> None:
    trick = vocabulary.load("lr", "warmup")
    lines = page(trick, "a-package").splitlines()
    assert lines[0] == trick.declared.syntax
    assert lines[2] == summary_line(trick)
    assert lines[-1] == "package  a-package"
    assert "span     from=, until=" not in lines
    assert "span     from=, until=" in page(vocabulary.load("augment", "mixup"), "a-package").splitlines()
    for field in trick.declared.fields:
        assert [line for line in lines if line.startswith(f"  {field.word} ") and field.help in line]


def test_a_default_without_a_short_decimal_form_is_shown_with_four_digits(vocabulary: Vocabulary) -> None:
    trick = vocabulary.load("augment", "crop")
    assert "default 1.333)" in page(trick, "a-package")
    (field,) = (field for field in trick.declared.fields if field.name == "aspect")
    assert field.kind.write(field.default) == "1.3333333333333333"  # as in a canonical recipe


@pytest.mark.parametrize(
    ("words", "highest"),
    [
        ("epochs 300; lr 0.4 warmup 1 step 2; data fake size=32 classes=4 images=32; batch 16", "0.4"),
        ("epochs 2000; lr 1 warmup 5 step 6 7 8; data fake size=32 classes=4 images=32; batch 16", "1"),
        ("epochs 300; lr 0.4 warmup 1.5 step 2; data fake size=32 classes=4 images=3200; batch 16", "0.4"),
        ("epochs 90; lr 0.4 step 1", "0.4"),
    ],
)
def test_the_highest_learning_rate_is_found_even_if_it_is_in_force_for_one_step(words: str, highest: str) -> None:
    found = recipe.compile(f"base resnet18; {words}", device="meta")
    assert f"highest learning rate {highest}," in explain(found, "cpu").replace("\n", ",")
    other = recipe.diff(f"base resnet18; {words}", f"base resnet18; {words.replace('lr ', 'lr 1')}")
    assert f"highest learning rate {highest} → 1{highest}" in other.to_text()


def test_a_run_is_explained_with_what_it_was_trained_on(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    done = command("explain", run.folder)
    images = run.summary["training_images"]
    assert done.stdout.startswith("run\n  status   finished, ")
    assert f"\n  images   {images} training images and " in done.stdout
    assert f"\n  results  top-1 {run.summary['top1']:.2%}, loss {run.summary['loss']:.4f} on" in done.stdout
    facts = json.loads(command("explain", run.folder, "--json").stdout)["run"]
    assert (facts["status"], facts["training_images"], facts["top1"]) == ("finished", images, run.summary["top1"])
    assert "run" not in json.loads(command("explain", run.folder, "seed 3", "--json").stdout)  # another recipe


def test_a_default_that_a_lock_states_is_no_word_without_effect(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    assert "loss aux=0.4" in (run.folder / "recipe.lock").read_text()
    assert "no auxiliary heads" not in command("explain", run.folder).stdout
