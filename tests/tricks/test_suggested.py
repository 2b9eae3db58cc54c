"""What a folder of images suggests for its training, and where it gives way."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from PIL import Image

from recipe.api import SuggestContext
from recipe.data.folders import first_images
from recipe.plan.plan import Plan
from recipe.runs.recipe_lock import lock_text
from recipe.tricks._suggested import MOST, RANGES, suggested_by
from tests.helpers import bind


def images(folder: Path, count: int, side: int) -> Path:
    for number in range(count):
        path = folder / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side + 9)).save(path)
    return folder / "photos"


def suggested(count: int, **given: dict[str, Any]) -> dict[str, Any]:
    context = SuggestContext("paper", MappingProxyType({"data folder": {"size": 32}, **given}))
    return dict(suggested_by("data folder", lambda most: ["nowhere.png"] * min(count, most), context))


def values(plan: Plan) -> dict[str, Any]:
    return {
        f"{use.word} {name}": value
        for use in plan.uses
        for name, value in use.values.items()
        if use.origins[name].kind == "suggestion"
    }


def test_a_small_folder_suggests_values_that_fit_one_another(tmp_path: Path) -> None:
    folder = images(tmp_path, 40, 24)
    plan = bind(f'base resnet18; data folder "{folder}"')
    assert values(plan) == {
        "data folder size": 64,
        "batch total": 16,
        "epochs count": 80,
        "augment crop area": 0.35,
        "loss smooth epsilon": 0.1,
        "norm precise images": 1000,
        "lr rate": 0.0063,
        "lr warmup epochs": 5,
        "lr cosine floor": 0,
    }
    origins = {origin for use in plan.uses for origin in use.origins.values() if origin.kind == "suggestion"}
    assert {str(origin) for origin in origins} == {"suggested by `data folder`"}


@pytest.mark.parametrize("count", [40, 100, 101, 1_000, 1_001, 10_000, 10_001, MOST])
def test_every_training_has_enough_updates(count: int) -> None:
    found = suggested(count)
    assert found["epochs count"] * (count // found["batch total"]) >= 100
    assert found["lr rate"] == pytest.approx(0.1 * found["batch total"] / 256, rel=0.02)


def test_some_images_more_change_nothing_within_a_range() -> None:
    assert suggested(2) == suggested(100) != suggested(101) == suggested(1_000) != suggested(1_001) == suggested(10_000)
    assert len({*map(str, RANGES.values())}) == len(RANGES)


def test_nothing_is_suggested_without_images_or_for_very_many() -> None:
    assert suggested(0) == suggested(MOST + 1) == {}


def test_what_the_recipe_states_is_taken_into_account(tmp_path: Path) -> None:
    assert suggested(500, batch={"total": 64})["lr rate"] == 0.025
    rest = {"batch total", "epochs count", "augment crop area", "loss smooth epsilon", "norm precise images"}
    assert suggested(500, lr={"rate": 0.1}).keys() - {"lr rate"} == rest  # a stated rate is kept anyway
    assert suggested(500, **{"lr head": {"factor": 10.0}}).keys() == {*rest, "lr rate"}
    assert suggested(500, **{"lr per": {"images": 256}}).keys() == rest
    assert suggested(500, epochs={"count": 3})["lr warmup epochs"] == 0.6
    assert suggested(500, epochs={"count": 300})["lr warmup epochs"] == 3
    assert "lr rate" not in suggested(500, **{"optimizer lars": {}})
    assert suggested(500, **{"optimizer adamw": {}})["lr rate"] == 0.0005
    tuned = suggested(500, base={"model": "resnet50", "weights": "DEFAULT"})
    assert (tuned["epochs count"], tuned["lr rate"]) == (20, 0.0013)
    assert "augment crop area" not in suggested(500, **{"augment flip": {}})
    assert "loss smooth epsilon" not in suggested(500, **{"loss bce": {}})
    stated = {"augment flip": {}, "loss bce": {}, "norm sync": {}, "decay": {}}
    assert suggested(500, batch={}, epochs={}, lr={"rate": 0.1}, **stated) == {}
    text = f'base resnet18; data folder "{images(tmp_path, 20, 24)}"'
    rest = "epochs 3; batch 8; lr 0.1; augment flip; loss aux=0; norm precise 500; decay 0"
    assert values(bind(f"{text} size=48; {rest}")) == {}
    assert values(bind(f"{text}; {rest}")) == {"data folder size": 64}
    assert bind(f"{text} size=48; lr head 10").training.rate == 0.0063
    dropped = bind(f"{text}; drop lr cosine")
    assert "lr cosine floor" not in values(dropped)


@pytest.mark.parametrize(
    ("words", "rate", "batch"),
    [
        ("batch 8192", 3.2, ""),
        ("batch 100000", 3.2, "8,192"),
        ("batch 512; lr cosine", 0.2, ""),
        ("batch 100000; lr cosine", 0.2, "512"),
        ("batch 100000; lr warmup 5", 3.2, "8,192"),
        ("batch 100000; optimizer adamw", 0.004, "1,024"),
        ("batch 128; optimizer adamw; lr cosine", 0.0014, ""),
        ("batch 100000; lr 5", 5.0, ""),
    ],
)
def test_a_suggested_rate_has_a_limit_that_is_said(tmp_path: Path, words: str, rate: float, batch: str) -> None:
    plan = bind(f'base resnet18; data folder "{images(tmp_path, 4, 24)}"; {words}')
    assert plan.training.rate == rate
    said = [warning.message for warning in plan.warnings if "suggested learning rate" in warning.message]
    assert len(said) == bool(batch)
    assert all(f"is that of a batch of {batch}," in message for message in said)


@pytest.mark.parametrize(
    ("model", "side", "size"),
    [
        ("resnet18", 24, 64),
        ("resnet18", 64, 64),
        ("mobilenet_v3_small", 65, 96),
        ("timm:convnext_atto", 150, 160),
        ("resnet18", 193, 224),
        ("vit_b_16", 24, 224),
        ("timm:vit_tiny_patch16_224", 24, 224),
        ("inception_v3", 24, 299),
    ],
)
def test_the_size_follows_the_images_if_the_model_takes_any(model: str, side: int, size: int, tmp_path: Path) -> None:
    plan = bind(f'base {model}; data folder "{images(tmp_path, 4, side)}"')
    assert plan.image_fields is not None
    assert plan.image_fields.size == size


def test_models_that_were_published_with_adamw_are_trained_with_it(tmp_path: Path) -> None:
    folder = images(tmp_path, 40, 24)

    def optimizer(text: str) -> tuple[str, float, float]:
        plan = bind(f'{text}; data folder "{folder}"')
        (use,) = (use for use in plan.uses if use.word.startswith("optimizer"))
        return use.word, plan.training.rate, plan.training.weight_decay

    assert optimizer("base timm:convnext_atto") == ("optimizer adamw", 0.0005, 0.05)
    assert optimizer("base vit_b_16 weights=DEFAULT") == ("optimizer adamw", 0.0001, 0.05)
    assert optimizer("base resnet18") == ("optimizer nag", 0.0063, 1e-4)
    assert optimizer("base resnet18; optimizer adamw") == ("optimizer adamw", 0.0005, 0.05)
    assert optimizer("base timm:convnext_atto; optimizer sgd") == ("optimizer sgd", 0.0063, 1e-4)
    assert optimizer("base timm:convnext_atto; drop optimizer adamw") == ("optimizer nag", 0.0063, 1e-4)
    assert optimizer("base timm:convnext_atto; lr 0.1") == ("optimizer nag", 0.1, 1e-4)


def test_pretrained_weights_decide_the_size(tmp_path: Path) -> None:
    plan = bind(f'base resnet18 weights=DEFAULT; data folder "{images(tmp_path, 4, 24)}"')
    assert plan.image_fields is not None
    assert plan.image_fields.size == 224


def test_broken_images_and_missing_folders_are_left_to_the_run(tmp_path: Path) -> None:
    folder = images(tmp_path, 4, 24)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    assert values(bind(f'base resnet18; data folder "{folder}"'))["batch total"] == 16
    assert values(bind(f'base resnet18; data folder "{tmp_path / "nowhere"}"')) == {}


def test_a_pipe_named_like_an_image_is_not_opened(tmp_path: Path) -> None:
    folder = images(tmp_path, 4, 24)
    os.mkfifo(folder / "cat" / "pipe.jpg")
    (folder / "dog" / "fake.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    assert values(bind(f'base resnet18; data folder "{folder}"'))["data folder size"] == 64
    assert first_images(folder, 9) == sorted(map(str, [*folder.rglob("*.png")]))


def test_a_lock_keeps_what_was_suggested(tmp_path: Path) -> None:
    folder = images(tmp_path, 20, 24)
    plan = bind(f'base resnet18; data folder "{folder}"')
    lock = tmp_path / "recipe.lock"
    lock.write_text(lock_text(plan))
    images(tmp_path, 1_100, 8)
    again = bind(lock)
    assert values(again) == {}
    assert again.digest == plan.digest
    assert (again.training.batch, again.training.epochs) == (16, 80)


def test_another_dataset_adds_nothing_to_a_lock(tmp_path: Path) -> None:
    folder, lock = images(tmp_path, 20, 24), tmp_path / "recipe.lock"
    before = bind(f'base resnet18; data folder "{folder}"; drop augment crop; drop norm precise')
    lock.write_text(lock_text(before))
    folder.rename(tmp_path / "moved")
    again = bind(lock, f'data folder "{tmp_path / "moved"}"')
    assert values(again) == {"data folder size": 64}
    assert {use.word for use in again.uses} == {use.word for use in before.uses}
    weights = bind(lock, f'data folder "{tmp_path / "moved"}"; base resnet18 weights=DEFAULT')
    assert weights.find("input") is not None, "weights need their inputs"
