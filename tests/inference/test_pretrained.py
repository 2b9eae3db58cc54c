"""`recipe.pretrained`, and predictions and evaluations of pretrained weights: outputs have names of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config
from timm.data.imagenet_info import ImageNetInfo
from torchvision.models import ResNet50_Weights

import recipe
from recipe.base.errors import RecipeError
from recipe.inference.pretrained import expected_inputs
from recipe.inference.pretrained_outputs import joined_by_name
from recipe.inference.run import Run
from recipe.plan.bind import resolve
from recipe.tricks._classes import published_classes
from tests.helpers import command
from tests.inference.helpers import paint
from tests.tricks.pretrained import CLASSES, classes

PALACE, DAISY = ("n03877845", 698), ("n11939491", 985)
CATEGORIES = ResNet50_Weights.DEFAULT.meta["categories"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe with a file of weights for 1,000 classes, under timm's names."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), path)
    return f'base timm:test_resnet weights="{path}"'


def folder(root: Path, *names: str) -> str:
    for seed, name in enumerate(names):
        paint(root / "val" / name, "red", 2, seed)
    return f'data folder "{root}" size=64 workers=0; batch 4'


def file_of(base: str) -> str:
    return base.split('"')[1]


def test_classes_have_their_published_names(base: str, tmp_path: Path) -> None:
    paint(tmp_path, "green", 2, 0)
    images = sorted(tmp_path.glob("*.png"))
    model = timm.create_model("test_resnet", pretrained=False, checkpoint_path=file_of(base)).eval()
    config = resolve_data_config({}, pretrained_cfg=model.pretrained_cfg)  # type: ignore[arg-type]
    transform: Any = create_transform(**config, is_training=False)
    with torch.no_grad():
        best = model(torch.stack([transform(Image.open(path).convert("RGB")) for path in images])).argmax(1)
    found = recipe.pretrained(base, device="cpu")
    made = found.preprocessing
    assert (made.size, made.crop, made.mean, made.interpolation) == (160, 0.95, (0.5, 0.5, 0.5), "bilinear")
    predicted = found.predict(images)
    assert [one.indices[0] for one in predicted] == best.tolist()
    assert [one.label for one in predicted] == [CATEGORIES[index] for index in best.tolist()]
    assert found.notes == (
        "nothing states the inputs of the weights: they are taken to be those of the published weights",
        "the file of weights names no classes: they are taken to be those of the model's published weights",
    )
    done = command("predict", base, *map(str, images), "--device", "cpu")
    assert done.status == 0
    assert predicted[0].label in done.stdout
    assert done.stderr.count("names no classes") == 1


@pytest.mark.parametrize("names", [("n03877845", "n11939491"), ("Palace", "daisy"), ("daisy", "palace")])
def test_a_subset_of_the_classes_is_joined_by_name(base: str, tmp_path: Path, names: tuple[str, str]) -> None:
    found = recipe.pretrained(base, device="cpu").evaluate(folder(tmp_path, *names))
    expected = {"n03877845": 698, "palace": 698, "n11939491": 985, "daisy": 985}
    parts = [Path(image).parent.name.lower() for image in found.images]
    assert found.labels.tolist() == [expected[part] for part in parts]
    assert found.logits.shape == (4, 1000)
    assert any(note.startswith("the dataset doesn't have 998 of the model's 1000 classes: ") for note in found.notes)


def test_classes_without_an_output_are_refused(base: str, tmp_path: Path) -> None:
    done = command("evaluate", f"{base}; {folder(tmp_path, 'daisy', 'rose')}", "--device", "cpu")
    assert done.status == 2
    assert "error[E129]: the model has no output for the class `rose` of the images" in done.stderr


def test_names_of_several_outputs_and_several_names_of_one_are_refused() -> None:
    outputs = [("crane bird", "n1", "crane"), ("lift", "n2", "crane"), ("maillot", "n3"), ("suit", "n4", "maillot")]
    assert joined_by_name(["Crane_Bird", "n2", "maillot", "x"], outputs) == {
        "Crane_Bird": 0,
        "n2": 1,
        "maillot": 2,
        "x": None,
    }
    with pytest.raises(RecipeError, match=r"E129.*`crane` stands for several outputs: `n1`, `n2`"):
        joined_by_name(["crane"], outputs)
    with pytest.raises(RecipeError, match=r"E129.*`lift` and `n2` are the same output"):
        joined_by_name(["lift", "n2"], outputs)


def test_names_that_differ_in_case_alone_are_told_apart() -> None:
    letters = [("a",), ("A",), ("b",), ("-",), ("_",)]
    assert joined_by_name(["-", "A", "_", "a", "B"], letters) == {"-": 3, "A": 1, "_": 4, "a": 0, "B": 2}
    with pytest.raises(RecipeError, match=r"E129.*`-a` stands for several outputs: `-A`, `_a`"):
        joined_by_name(["-a"], [("-A",), ("_a",)])


def test_a_crop_that_a_recipe_can_t_state_is_the_closest_one_with_and_without_a_dataset(tmp_path: Path) -> None:
    text = "base timm:dm_nfnet_f0 weights=DEFAULT"
    made, notes = expected_inputs(resolve(text))
    assert made.crop == resolve(text, f'data folder "{tmp_path}"').training.evaluation_crop == 0.9
    assert notes == [
        "the weights expect a crop of 0.9 of the squashed image, which a recipe can't state: the closest one is used"
    ]
    for stated, crop in {"crop=80%": 0.8, "crop=100%": 1.0, "crop=whole": None}.items():
        made, notes = expected_inputs(resolve(text, f"evaluation {stated}"))
        assert (made.crop, notes) == (crop, [])


def test_a_model_whose_head_is_not_loaded_is_refused(base: str) -> None:
    with pytest.raises(RecipeError, match=r"E129.*would be random"):
        recipe.pretrained(f"{base} classes=7", device="cpu")
    with pytest.raises(RecipeError, match=r"E129.*loads no weights"):
        recipe.pretrained("base timm:test_resnet", device="cpu")


def test_weights_of_a_run_keep_its_classes_in_any_order(trained: Run, data: Path, tmp_path: Path) -> None:
    text = f'base squeezenet1_1 weights="{trained.folder}" classes=3'
    found = recipe.pretrained(text, device="cpu")
    images = sorted((data / "val").rglob("*.png"))
    assert found.classes == trained.classes
    assert found.preprocessing == trained.preprocessing
    assert [one.probabilities for one in found.predict(images)] == [
        one.probabilities for one in trained.predict(images)
    ]
    for name in ("green", "red"):
        (tmp_path / "some").mkdir(exist_ok=True)
        (tmp_path / "some" / name).symlink_to(data / "val" / name)
    evaluated = found.evaluate(f'data folder "{tmp_path / "some"}" size=32 workers=0')
    assert (evaluated.top1, {*evaluated.labels.tolist()}) == (1.0, {1, 2})


def test_classes_without_known_names_are_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=5).state_dict(), tmp_path / "five.safetensors")
    found = recipe.pretrained(
        f'base timm:test_resnet classes=5 weights="{tmp_path / "five.safetensors"}"', device="cpu"
    )
    paint(tmp_path, "red", 1, 0)
    assert {*found.predict(tmp_path / "0.png")[0].classes} == {*"01234"}
    assert found.notes[-1] == "the names of the classes are unknown: they are the numbers of the outputs, from 0"


@pytest.mark.parametrize("stated", ["", " classes=5"])
def test_the_model_has_the_outputs_of_its_weights(stated: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=5).state_dict(), tmp_path / "five.safetensors")
    text = f'base timm:test_resnet{stated} weights="{tmp_path / "five.safetensors"}"'
    found = recipe.pretrained(text, device="cpu")
    assert (found.classes.count, found.classes.names) == (5, ())
    with pytest.raises(RecipeError, match=r"E129.*the images have 2 classes, but the model has 5 outputs"):
        found.evaluate(folder(tmp_path / "photos", "red", "green"))


def test_outputs_that_are_matched_by_order_have_the_names_of_the_images(tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet", num_classes=2).state_dict(), tmp_path / "two.safetensors")
    images = folder(tmp_path / "photos", "red", "green")
    found = recipe.pretrained(f'base timm:test_resnet weights="{tmp_path / "two.safetensors"}"', device="cpu")
    evaluation = found.evaluate(images)
    assert evaluation.names == ("green", "red")
    assert evaluation.notes[-1].startswith("the weights don't name their classes")


def test_other_outputs_than_those_of_the_weights_are_refused_with_both_numbers(tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet", num_classes=5).state_dict(), tmp_path / "five.safetensors")
    text = f'base timm:test_resnet classes=4 weights="{tmp_path / "five.safetensors"}"'
    with pytest.raises(RecipeError) as caught:
        recipe.pretrained(text, device="cpu")
    assert caught.value.diagnostics[0].help == "the model has 4 outputs, and the weights are of 5"


def test_the_names_are_those_of_torchvision_and_timm() -> None:
    assert CLASSES.read_text() == classes()
    for model in ("resnet18", "timm:resnet18"):
        names = published_classes(model, "DEFAULT", is_file=False)
        assert [name for name, *_ in names] == CATEGORIES
        assert [names[index][1] for _, index in (PALACE, DAISY)] == [PALACE[0], DAISY[0]]
    big = published_classes("timm:convnext_tiny", "fb_in22k", is_file=False)
    assert len({name for name, *_ in big}) == len(big) == 21841
    assert [wnid for _, wnid, *_ in big] == ImageNetInfo("imagenet-22k").label_names()  # type: ignore[no-untyped-call]
    assert published_classes("timm:resnet18", "hf_hub:someone/flowers", is_file=False) == ()


@pytest.fixture
def ten(tmp_path: Path) -> str:
    """A recipe with a file of weights for 10 classes."""
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=10).state_dict(), tmp_path / "ten.safetensors")
    return f'base timm:test_resnet classes=10 weights="{tmp_path / "ten.safetensors"}"'


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("epochs 3", "`epochs`"),
        ("epochs 3; lr 0.3", "`epochs`, `lr`"),
        ("drop augment", "`augment flip`"),
        ("dialect torchvision", "`dialect`"),
    ],
)
def test_statements_about_a_training_are_refused(ten: str, statement: str, words: str) -> None:
    text = f"{ten}; data fake classes=10 images=16 size=32; augment flip; epochs 2; loss smooth 0.1 over=all"
    done = command("evaluate", text, statement, "--device", "cpu")
    assert f"error[E129]: {words} can't be replaced here" in done.stderr
    with pytest.raises(RecipeError, match=f"E129.*{words} can't be replaced here"):
        recipe.pretrained(text, statement, device="cpu")


def test_a_recipe_that_its_statements_complete_is_evaluated(ten: str, tmp_path: Path) -> None:
    (tmp_path / "data.recipe").write_text("data fake classes=10 images=16 size=32")
    done = command("evaluate", str(tmp_path / "data.recipe"), ten, "--device", "cpu")
    assert done.status == 0, done.stderr
    done = command("evaluate", str(tmp_path / "data.recipe"), f"{ten}; ema", "--device", "cpu")
    assert "error[E129]: `ema` can't be replaced here" in done.stderr


@pytest.mark.parametrize(
    "statement", ["data digits size=32", "batch 4; batch micro 2", "input std=1 1 1", "layout contiguous"]
)
def test_what_has_a_part_in_an_evaluation_can_be_replaced(ten: str, statement: str) -> None:
    done = command("evaluate", f"{ten}; data fake classes=10 images=16 size=32", statement, "--device", "cpu")
    assert done.status == 0, done.stderr
    assert "no effect" not in done.stdout


def test_words_of_a_recipe_that_have_no_part_are_noted(ten: str) -> None:
    text = f"{ten}; data fake classes=10 images=16 size=32; epochs 3; ema; batch 4; layout contiguous"
    said = "nothing is trained, so these words have no effect: `ema`, `epochs`"
    assert said in recipe.pretrained(text, device="cpu").notes
    assert said in command("evaluate", text, "--device", "cpu").stdout


def test_a_drop_without_effect_is_noted(ten: str, trained: Run) -> None:
    said = "`drop evaluation` has no effect: no layer below states it and nothing suggests it"
    text = f"{ten}; data fake classes=10 images=16 size=32; drop evaluation; drop evaluation"
    assert "it is dropped already" in command("evaluate", text, "--device", "cpu").stdout
    assert said in trained.evaluate("drop evaluation").notes


def test_only_the_data_and_its_inputs_can_be_replaced(ten: str) -> None:
    found = recipe.pretrained(f"{ten}; data fake classes=10 images=16 size=32", device="cpu")
    for words in ("augment flip", "epochs 3", "base resnet18"):
        with pytest.raises(RecipeError, match=r"E129.*can't be replaced in an evaluation"):
            found.evaluate(words)
    with pytest.raises(RecipeError, match=r"E129.*names no dataset"):
        found.evaluate("drop data")
    assert found.evaluate("batch 16").logits.any()
    assert len(found.evaluate("data digits size=32").logits) == 355  # it also suggests words of a training
    with torch.no_grad():
        for weight in found.model.parameters():
            weight.zero_()
    assert not found.evaluate().logits.any()  # of the model as it is, not compiled again
