"""`input` and `evaluation`: what they state, what pretrained weights suggest for them, and where it arrives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

import recipe
from recipe.api import Preprocessing, Trick, integer, trick
from recipe.base.errors import RecipeError
from recipe.data.fingerprinting import fingerprint
from recipe.data.images import Files, InMemory
from recipe.inference.datasets import open_sets, preprocessing_of
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.runs.recipe_lock import lock_text
from recipe.training.setup import prepare
from recipe.training.transform import BatchTransform
from recipe.tricks import base
from recipe.tricks._inputs import known_inputs, suggested
from recipe.tricks._published import published
from tests.helpers import bind, command, diagnostics, vocabulary_with
from tests.tricks.pretrained import FILE, timm_inputs, torchvision_inputs

DATA = "data fake size=32 classes=4 images=16"
STATED = "input mean=0.5 0.25 0.125 std=0.5 0.5 0.25 interpolation=bicubic"


def values(plan: Plan, word: str) -> dict[str, Any]:
    use = plan.find(word)
    assert use is not None
    return {name: value for name, value in use.values.items() if value is not None}


# ---- the language


def test_three_numbers_may_be_in_any_order() -> None:
    plan = bind(f"base resnet18; {STATED}")
    assert plan.training.mean == (0.5, 0.25, 0.125)
    assert plan.training.std == (0.5, 0.5, 0.25)
    assert bind(plan.canonical()).digest == plan.digest
    assert bind("base resnet18; input 0.5 0.25 0.125 std=0.5 0.5 0.25 interpolation=bicubic").digest == plan.digest


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        (
            "input mean=0.5 0.5",
            "E025",
            "`mean` of `input` takes 1 or 3 numbers, each a number of at least 0 and at most 1, not",
        ),
        ("input channels=2", "E024", "`channels` of `input` takes 1 or 3, not `2`"),
        ("input mean=0.5 0.5 0.5 0.5", "E026", "unexpected value `0.5`"),
        ("input mean=123 117 104", "E024", "at most 1, not `123`"),
        ("input std=0 0 0", "E024", "of at least 0.0001"),
        ("input interpolation=lanczos", "E021", "does not accept `lanczos`"),
        ("evaluation crop=none", "E023", "or `whole`, not `none`"),
        ("evaluation crop=0", "E024", "above 0"),
        ("evaluation views=three", "E021", "does not accept `three`"),
    ],
)
def test_values_that_mean_nothing_are_errors(statement: str, code: str, said: str) -> None:
    (error,) = diagnostics(f"base resnet18; {statement}")
    assert (error.code, said in error.message) == (code, True), error.message


def test_a_recipe_without_weights_has_neither_trick() -> None:
    for text in ("base resnet18", "base resnet18; data digits", "base timm:vit_tiny_patch16_224", "base inception_v3"):
        plan = bind(text)
        assert plan.find("input") is None
        assert plan.find("evaluation") is None


# ---- suggestions


def test_the_table_of_inputs_is_that_of_the_installed_packages() -> None:
    """Other versions of timm may have more weights, and other values for some."""
    written = f"timm {timm.__version__}." in FILE.read_text().partition("\n\n")[0]
    unlike, missing = [], []
    for model, name, inputs in [*torchvision_inputs(), *timm_inputs()]:
        known = published(model, name)
        if known is None:
            missing.append((model, name))
        elif known != inputs:
            unlike.append((model, name, known, inputs))
    assert (unlike, missing) == ([], []) if written else len(unlike) < 20, (unlike[:5], missing[:5])


def test_default_weights_are_the_first_of_a_model() -> None:
    assert published("timm:vit_tiny_patch16_224", None) == published("timm:vit_tiny_patch16_224", "DEFAULT")
    assert published("timm:resnet50.a1h_in1k", "DEFAULT") == published("timm:resnet50", "a1h_in1k")
    assert published("timm:resnet50.a1h_in1k", "DEFAULT") != published("timm:resnet50", "tv_in1k")
    assert published("resnet50", "DEFAULT") == published("resnet50", "IMAGENET1K_V2")
    assert published("resnet50", "IMAGENET1K_V1") != published("resnet50", "IMAGENET1K_V2")
    assert published("timm:no_such_model", "DEFAULT") is None


def test_weights_suggest_their_inputs_with_that_origin() -> None:
    plan = bind('base efficientnet_b4 weights=DEFAULT; data folder "x"')
    assert values(plan, "data folder")["size"] == 380
    assert values(plan, "input") == {
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "bicubic",
    }
    assert values(plan, "evaluation") == {"crop": 380 / 384, "interpolation": "bicubic"}
    for word in ("input", "evaluation"):
        use = plan.find(word)
        assert use is not None
        assert (str(use.origin), use.stated) == ("suggested by `base efficientnet_b4`", False)
        assert str(use.origins["interpolation"]) == "suggested by `base efficientnet_b4`"


def test_stated_values_stay_and_the_rest_is_suggested() -> None:
    plan = bind('base efficientnet_b4 weights=DEFAULT; data folder "x" size=64; evaluation crop=1; input mean=0 0 0')
    assert values(plan, "data folder")["size"] == 64
    assert values(plan, "evaluation") == {"crop": 1, "interpolation": "bicubic"}
    assert values(plan, "input") == {"mean": (0, 0, 0), "std": (0.229, 0.224, 0.225), "interpolation": "bicubic"}


def test_images_in_memory_stay_whole() -> None:
    assert "crop" not in values(bind("base resnet50 weights=DEFAULT; data digits"), "evaluation")


def test_a_lock_states_what_was_suggested_and_one_of_an_earlier_release_stays_as_it_was() -> None:
    plan = bind('base resnet50 weights=DEFAULT; data folder "/x"')
    assert "input mean=0.485 0.456 0.406 std=0.229 0.224 0.225 interpolation=bilinear\n" in lock_text(plan)
    assert bind(lock_text(plan)).digest == plan.digest
    lines = [line for line in lock_text(plan).splitlines() if not line.startswith(("input", "evaluation"))]
    before = bind("\n".join(lines))
    assert before.find("input") is None
    assert before.find("evaluation") is None


def test_suggestions_need_no_torch() -> None:
    code = (
        "import sys; from recipe.plan.bind import resolve; "
        "plan = resolve('base timm:vit_tiny_patch16_224 weights=DEFAULT; data folder \"x\"'); "
        "print(plan.training.mean, plan.training.evaluation_crop, 'torch' in sys.modules, 'timm' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "(0.5, 0.5, 0.5) 0.9 False False"


def test_a_plugin_may_imply_a_trick_of_its_own() -> None:
    @trick("theirs", implied=True)
    class Theirs(Trick):
        """State the size of the evaluation."""

        side: int | None = integer(None, "a size")

        def configure(self, training: Any) -> dict[str, object]:
            return {"evaluation_size": self.side}

    @trick("hint")
    class Hint(Trick):
        """Suggest the other one."""

        def suggest(self, context: Any) -> dict[str, object]:
            return {"theirs side": 64}

    plan = bind("base resnet18; hint", words=vocabulary_with(Theirs, Hint))
    assert plan.training.evaluation_size == 64
    assert bind("base resnet18", words=vocabulary_with(Theirs, Hint)).find("theirs") is None


# ---- where they arrive


def test_training_and_evaluation_normalize_with_what_is_stated() -> None:
    plan = bind(f"base timm:test_resnet; {DATA}; batch 4; epochs 1; lr 1e-3; {STATED}")
    sets, program = prepare(plan)
    assert (sets.mean, sets.std) == ((0.5, 0.25, 0.125), (0.5, 0.5, 0.25))
    transform = BatchTransform.of(plan, sets, program.classes, torch.device("cpu"))
    images = torch.full((1, 3, 2, 2), 0.75)
    assert transform.normalised(images)[0, :, 0, 0].tolist() == [0.5, 1.0, 2.5]
    assert preprocessing_of(plan, sets).mean == (0.5, 0.25, 0.125)


def test_images_in_memory_are_resized_from_the_originals() -> None:
    bilinear, bicubic, larger, cropped = (
        open_sets(bind(f"base resnet18; data digits; {statement}"))
        for statement in ("seed 0", STATED, "evaluation size=48", "evaluation crop=50%")
    )
    assert isinstance(bicubic.train, InMemory)
    assert isinstance(bilinear.train, InMemory)
    assert bicubic.train.original is None
    from sklearn.datasets import load_digits

    from recipe.data.images import resize

    shades = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    original = torch.from_numpy(shades)[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(bicubic.train.pixels[0], resize(original[:1], 32, "bicubic")[0])
    assert not torch.equal(bicubic.train.pixels, bilinear.train.pixels)
    assert isinstance(larger.val, InMemory)
    assert isinstance(cropped.val, InMemory)
    assert larger.val.pixels.shape[1:] == (3, 48, 48)
    assert isinstance(larger.train, InMemory)
    assert torch.equal(larger.train.pixels, bilinear.train.pixels)
    assert cropped.val.pixels.shape == bilinear.val.pixels.shape  # type: ignore[attr-defined]
    assert not torch.equal(cropped.val.pixels, bilinear.val.pixels)  # type: ignore[attr-defined]


def test_whole_images_are_squashed(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / part / "a").mkdir(parents=True)
        for number in (0, 1):
            pixels = np.zeros((40, 80, 3), np.uint8)
            pixels[:, 70:] = 255
            Image.fromarray(pixels).save(tmp_path / part / "a" / f"{number}.png")
    text = f'base resnet18; data folder "{tmp_path}" size=16'
    crop, whole = (
        open_sets(bind(f"{text}; {more}"), training=False).val for more in ("seed 0", "evaluation crop=whole")
    )
    assert isinstance(whole, Files)
    assert whole.crop is None
    assert crop.fetch(np.array([0]), None)[0, 0, 0].tolist() == [0] * 16
    assert whole.fetch(np.array([0]), None)[0, 0, 0].tolist()[-2:] == [224, 255]


def test_stated_values_that_the_weights_do_not_expect_are_reported(tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    text = f'base timm:test_resnet weights="{tmp_path}/w.safetensors"; {DATA}; batch 4; epochs 1; lr 1e-3'
    assert not prepare(bind(text))[1].warnings  # it may have been trained on images of 32 pixels
    (warning,) = prepare(bind(f"{text}; input mean=0.1 0.1 0.1 interpolation=bicubic"))[1].warnings
    assert "mean 0.5 0.5 0.5, not 0.1 0.1 0.1" in warning.message
    assert "; interpolation bilinear, not bicubic" in warning.message
    assert "evaluation interpolation" not in warning.message  # it keeps that of the weights


@pytest.mark.parametrize("model", ["resnet18", "timm:test_resnet"])
def test_a_file_that_states_nothing_suggests_the_published_inputs(model: str, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(recipe.compile(f"base {model} classes=1000").model.state_dict(), file)
    by_file, by_name = (bind(f"base {model} weights={weights}; data fake") for weights in (f'"{file}"', "DEFAULT"))
    for setting in ("mean", "std", "interpolation", "evaluation_interpolation"):
        assert getattr(by_file.training, setting) == getattr(by_name.training, setting)
    assert by_file.training.mean is not None
    assert by_file.image_fields == by_name.image_fields


@pytest.mark.parametrize("model", ["inception_v3", "googlenet"])
def test_inputs_are_normalized_once(model: str) -> None:
    """torchvision's own models normalize twice if they are pretrained. The result is the same."""
    image = torch.rand(1, 3, 299, 299)
    stock = torchvision.models.get_model(model, weights=None, init_weights=True, transform_input=True).eval()
    ours = recipe.compile(f"base {model} classes=1000; data fake size=299").model.eval()
    ours.load_state_dict(stock.state_dict())
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected, found = stock((image - mean) / std), ours((image - 0.5) / 0.5)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found / scale, expected / scale, rtol=1e-3, atol=1e-4)
    assert bind(f"base {model} weights=DEFAULT; data fake").training.mean == (0.5, 0.5, 0.5)


def test_a_lock_whose_model_normalized_again_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"E023.*need images of mean and deviation 0.5"):
        bind("base inception_v3 weights=DEFAULT; data fake; input mean=0.485 0.456 0.406 std=0.229 0.224 0.225")


def test_a_size_that_the_model_does_not_accept_is_an_error() -> None:
    text = "base vit_b_16; data fake size=224 classes=4 images=8; evaluation size=192"
    with pytest.raises(RecipeError, match="E103"):
        recipe.compile(text, device="meta")


def test_five_crops_of_whole_images_are_an_error() -> None:
    with pytest.raises(RecipeError, match=r"E023.*`five-crop` needs a crop, but the images of `data digits` are eval"):
        open_sets(bind("base resnet18; data digits; evaluation views=five-crop"))


def test_diff_shows_them() -> None:
    found = command("diff", f"base resnet18; {DATA}", f"base resnet18; {DATA}; {STATED}")
    assert "input mean=0.5 0.25 0.125 std=0.5 0.5 0.25 interpolation=bicubic" in found.stdout


def test_a_recipe_can_refuse_the_suggested_words() -> None:
    text = "base timm:vit_tiny_patch16_224 weights=DEFAULT; data fake size=224"
    for plan in (bind(f"{text}; drop input"), bind(text, "drop input")):
        assert (plan.find("input"), plan.training.mean) == (None, None)
        assert plan.find("evaluation") is not None
        assert bind(plan.canonical()) == plan
    again = bind(f"{text}; drop input", "input mean=0.1 0.1 0.1")
    assert (again.training.mean, again.barred) == ((0.1, 0.1, 0.1), ())
    assert bind("base resnet18; drop input; drop evaluation").digest == bind("base resnet18").digest


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (["base resnet18; drop input"], ["effect: no layer below states it and nothing suggests it"]),
        (["base resnet18; drop evaluation", "drop input"], ["`drop evaluation` has no", "`drop input` has no effect"]),
        (["base resnet18", "drop input; input std=1 1 1"], ["effect: the same layer states `input`"]),
        (["base resnet18 weights=DEFAULT; drop input", "drop input"], ["`drop input` has no effect: it is dropped"]),
        (["base resnet18 weights=DEFAULT; drop input; drop evaluation"], []),
        (["base resnet18; input std=1 1 1", "drop input"], []),
        (["base resnet18; drop input", "input std=1 1 1"], []),
        (["base resnet18; input std=1 1 1", "drop input; input mean=0 0 0"], []),
    ],
)
def test_a_drop_without_effect_is_reported(layers: list[str], expected: list[str]) -> None:
    plan = bind(*layers)
    assert len(plan.warnings) == len(expected)
    for warning, message in zip(plan.warnings, expected, strict=True):
        assert (warning.code, message in warning.message) == ("W001", True)
        assert warning.span is not None
        assert warning.message.startswith(f"`{warning.span.text}`")


def test_the_drops_of_a_lock_are_not_reported(tmp_path: Path) -> None:
    (tmp_path / "recipe.lock").write_text(lock_text(bind("base resnet18 weights=DEFAULT; data fake; drop input")))
    for statements in ((), ("data fake size=64",)):
        plan = resolve(tmp_path / "recipe.lock", *statements)
        assert (plan.barred, plan.warnings) == (("input",), ())


def test_a_lock_suggests_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So to open a run reads no weights."""
    lock = lock_text(bind("base timm:vit_tiny_patch16_224 weights=DEFAULT; data fake size=224"))
    (tmp_path / "recipe.lock").write_text(lock)

    def read(*_: object) -> None:
        raise AssertionError("suggest is called")

    before = resolve(tmp_path / "recipe.lock")
    monkeypatch.setattr(base, "known_inputs", read)
    assert resolve(tmp_path / "recipe.lock") == before
    with pytest.raises(RecipeError, match="suggest is called"):
        resolve(tmp_path / "recipe.lock", "data fake size=64")


def test_fingerprints_are_of_the_images_that_the_dataset_has() -> None:
    """Not of the inputs that a recipe makes of them, which are no other data."""
    text = "base timm:test_resnet; data digits size=32"
    found = {
        tuple(map(fingerprint, (sets.train, sets.val)))
        for words in ("", "input interpolation=bicubic", "evaluation size=24 crop=90% views=flip interpolation=bicubic")
        for sets in (open_sets(bind(f"{text}; {words}")),)
    }
    assert len(found) == 1


def test_published_inputs_are_plain_values() -> None:
    assert published("timm:vit_tiny_patch16_224", None) == Preprocessing(
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), size=224, crop=0.9, interpolation="bicubic"
    )


def test_a_repository_is_fed_like_the_weights_that_the_tag_names() -> None:
    tagged = known_inputs("timm:vit_small_patch16_224.dino", "hf_hub:owner/name")
    assert tagged is not None
    assert tagged.mean == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.parametrize(
    ("model", "expected", "crop"),
    [
        ("timm:dm_nfnet_f0", "0.9 of the squashed image", 0.9),
        ("timm:volo_d5_512", "1.15 of the image in a border", 1.0),
        ("timm:coat_lite_medium_384", "whole", "whole"),
    ],
)
def test_the_closest_crop_is_suggested_for_one_that_a_recipe_can_t_state(
    model: str, expected: str, crop: float | str
) -> None:
    known = published(model, None)
    assert known is not None
    assert known.crop == expected
    assert values(bind(f'base {model} weights=DEFAULT; data folder "x"'), "evaluation")["crop"] == crop


@pytest.mark.parametrize(
    ("data", "crops"),
    [
        ('list "x"', True),
        ('hf "someone/birds"', True),
        ("torchvision OxfordIIITPet", True),
        ("torchvision MNIST", False),
        ("digits", False),
    ],
)
def test_a_crop_is_suggested_for_datasets_of_files(data: str, crops: bool) -> None:
    plan = bind(f"base timm:resnet18.a1_in1k weights=DEFAULT; data {data}")
    assert (plan.training.evaluation_crop == 0.95) is crops


def test_an_interpolation_that_a_recipe_can_t_state_is_not_suggested() -> None:
    told = suggested(Preprocessing(interpolation="lanczos", evaluation_interpolation="bicubic"), {})
    assert told == {"evaluation interpolation": "bicubic"}
    assert suggested(Preprocessing(interpolation="nearest"), {}) == {}
