"""Numbers of other types that plugins return, such as NumPy's, become plain Python numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import recipe
from recipe.api import InMemory, Insert, Layer, Net, Progress, Sets, Site, Trick, integer, number, numbers, trick
from recipe.base.plain_numbers import plain_numbers
from recipe.explain.program import as_dict
from tests.durability.trials import Cut, outcome, small
from tests.helpers import bind, errors, vocabulary_with

TEXT = "data fake size=32 classes=10 images=16; lr 0.05; batch 8; epochs 2"


def making(made: Mapping[str, Any], factor: Any) -> type[Trick]:
    @trick("odd", after=("batch", "epochs", "lr", "decay", "seed", "precision"), writes=("batch", "lr", "groups"))
    class Odd(Trick):
        """Return numbers of other types."""

        def configure(self, training: Any) -> Mapping[str, Any]:
            return made

        def lr_factor(self, progress: Progress) -> Any:
            return factor

        def param_options(self, name: str, parameter: torch.Tensor, module: nn.Module, place: Any) -> Mapping[str, Any]:
            return {"lr_scale": Fraction(1, 2), "momentum": np.float32(0.5)}

    return Odd


@pytest.mark.parametrize(
    ("made", "factor"),
    [
        ({"epochs": np.int64(2)}, np.float32(0.5)),
        ({"rate": np.float32(0.01), "precision": np.str_("fp32")}, np.int64(1)),
        ({"rate": Fraction(1, 100), "weight_decay": Fraction(1, 8)}, Fraction(1, 2)),
        ({"batch": np.int64(8), "micro": np.int64(4), "seed": np.uint8(3)}, np.float64(1)),
    ],
)
def test_a_run_with_numbers_of_other_types_is_saved_and_resumes(
    made: Mapping[str, Any], factor: Any, tmp_path: Path
) -> None:
    words = vocabulary_with(making(made, factor))

    def trained(folder: str, **options: Any) -> Path:
        program = recipe.compile(f"{TEXT}; odd", base=small(), plugins=words)
        for name in made:
            assert type(getattr(program.training, name)) in (int, float, str), name
        recipe.run(program, out=tmp_path / folder, device="cpu", plugins=words, **options)
        return tmp_path / folder

    whole = trained("whole")
    assert json.loads((whole / "summary.json").read_text())["epochs"] == 2
    with pytest.raises(recipe.Interrupted):
        trained("cut", listener=Cut("last batch"))
    assert outcome(trained("cut", resume=True)) == outcome(whole)


@pytest.mark.parametrize("value", [10**400, float("inf"), np.float32("nan"), Fraction(10**400), np.bool_(True)])
def test_numbers_beyond_a_setting_are_errors_in_the_trick(value: Any) -> None:
    assert errors("base resnet18; odd", words=vocabulary_with(making({"rate": value}, 1))) == ["E080"]


@trick("data odd", writes=("data",))
class OddData(Trick):
    """Count with NumPy, and keep numbers of other types in fields."""

    size: int = integer(np.int64(32), "side", minimum=np.int64(8), maximum=np.float64(64))
    workers: int = integer(0, "workers", result=False)
    share: float = number(np.float64(0.3), "share", minimum=np.float64(0.1), dialects={"gluoncv": Fraction(1, 4)})
    places: tuple[float, ...] = numbers(np.array([1.5, 2.5]), "places")

    def suggest(self, context: Any) -> Mapping[str, Any]:
        return {"lr rate": np.float64(0.02), "epochs count": np.int32(1), "batch total": np.int64(4)}

    def open(self) -> Sets:
        part = InMemory(torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.arange(8) % 4)
        scale = (Fraction(1, 2), np.float32(0.5), 1)
        return Sets(part, part, np.int64(4), scale, scale)  # type: ignore[arg-type]

    def count_images(self) -> Any:
        return np.int64(8)

    def count_classes(self) -> Any:
        return np.int64(4)


def test_defaults_suggestions_and_counts_of_other_types_are_written_as_plain_numbers(tmp_path: Path) -> None:
    words = vocabulary_with(OddData)
    text = "base timm:test_efficientnet; data odd"
    plan = bind(text, words=words)
    assert "lr rate=0.02 every=batch" in plan.canonical().splitlines()
    assert "data odd size=32 workers=0 share=0.3 places=1.5 2.5" in plan.canonical().splitlines()
    assert bind(plan.canonical(), words=words) == plan
    assert "share=0.25" in bind(f"{text}; dialect gluoncv", words=words).canonical()
    run = recipe.run(text, out=tmp_path / "run", device="cpu", plugins=words)
    assert json.loads((run.folder / "preprocessing.json").read_text())["mean"] == [0.5, 0.5, 1.0]


@trick("tweak odd", writes=("branch",))
class OddTweak(Trick):
    """Insert layers with arguments of other types."""

    def rewrite(self, net: Net) -> Iterable[Site]:
        for block in net.blocks:
            if block.end:
                layer = Layer("Dropout", {"p": np.float32(0.5)})
                cast = Layer("BatchNorm2d", {"num_features": np.int64(net.node(block.end).meta["shape"][1]),
                                             "dtype": torch.float32})  # fmt: skip
                edit = Insert(block.end, ((f"{block.end}_drop", layer), (f"{block.end}_norm", cast)), after=True)
                yield Site(block.where, (edit,))


def test_edits_with_values_of_other_types_are_shown_as_json() -> None:
    program = recipe.compile("base resnet18; tweak odd", device="meta", plugins=vocabulary_with(OddTweak))
    edits = json.loads(json.dumps(as_dict(program, "cpu")))["edits"]
    chain = next(edit for edit in edits if edit["trick"] == "tweak odd")["chain"]
    assert [layer["arguments"] for _, layer in chain] == [
        {"p": 0.5},
        {"num_features": 64, "dtype": "torch.float32"},
    ]


def test_what_is_no_number_is_unchanged() -> None:
    weight = torch.zeros(1)
    found = plain_numbers({"a": (weight, True, None, [np.int8(1)])})
    assert found == {"a": (weight, True, None, [1])}
    assert found["a"][1] is True
    assert type(found["a"][3][0]) is int


@pytest.mark.parametrize("text", ["decay 1e-400", "seed 1e-400", "augment flip 1e-400%", "lr step 1e-999"])
def test_a_number_too_close_to_0_is_not_taken_for_0(text: str) -> None:
    assert errors(f"base resnet18; {text}") == ["E023"]


@pytest.mark.parametrize("text", ["decay 0e-400", "decay 0.0", "augment flip 0e5%", "decay 1e-300"])
def test_a_zero_is_a_zero(text: str) -> None:
    assert errors(f"base resnet18; {text}") == []
