"""Exports as plain PyTorch source: their text, running them without recipe, and models they can't express."""

from __future__ import annotations

import inspect
import runpy
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

import recipe
from recipe.api import Insert, Layer, Net, SetAttribute, Site, Substitute, Trick, trick
from recipe.base.errors import RecipeError
from recipe.compiler.program import Program, Step
from recipe.data.appearance import AS_STORED
from recipe.data.decode import decode, formats
from recipe.exporters.codegen import Codegen
from recipe.inference.datasets import open_sets
from recipe.language.recipe_input import source_from
from recipe.plan.bind import bind
from recipe.plugins.vocabulary import Offer, Vocabulary
from recipe.training.transform import BatchTransform
from tests.data.odd_images import SIDE, whole
from tests.exporters.helpers import FAKE, SHORT, alone, images, off, own_logits, train


def surgery(program: Program) -> str:
    return "\n".join(Codegen(program).lines)


def with_edits(*sites: Site, text: str = "base resnet50; tweak A; init stock") -> Program:
    """Return a program with these edits attributed to tweak A."""
    program = recipe.compile(text, device="meta")
    return attrs.evolve(program, steps=(Step("tweak A", sites),))


def test_identical_edits_of_a_trick_become_a_loop() -> None:
    assert (
        surgery(recipe.compile("base resnet50; tweak A", device="meta"))
        == """
    # tweak A: Move the stride of each downsampling residual block to the first convolution of its trunk.
    for block in (model.layer2[0], model.layer3[0], model.layer4[0]):
        block.conv2.stride = (1, 1)
        block.conv1.stride = (2, 2)"""
    )


def test_modules_in_place_of_another_become_a_sequential() -> None:
    program = recipe.compile("base resnet18; tweak C D", device="meta")
    assert (
        surgery(program)
        == """
    # tweak C: Replace the 7×7 convolution with stride 2 in the stem with three 3×3 convolutions.
    model.conv1 = nn.Sequential(
        nn.Conv2d(in_channels=3, out_channels=32, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(num_features=32),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels=32, out_channels=32, kernel_size=3, stride=1, padding=1, bias=False),
        nn.BatchNorm2d(num_features=32),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels=32, out_channels=64, kernel_size=3, stride=1, padding=1, bias=False),
    )

    # tweak D: Pool before the 1×1 convolution in the shortcut of each downsampling residual block, instead of striding.
    for block in (model.layer2[0], model.layer3[0], model.layer4[0]):
        block.downsample[0] = nn.Sequential(
            OrderedDict(
                pool=nn.AvgPool2d(kernel_size=2, stride=2, ceil_mode=True, count_include_pad=False),
                conv=block.downsample[0],
            ),
        )
        block.downsample[0].conv.stride = (1, 1)"""
    )
    found = Codegen(program)
    assert found.place("layer2.0.downsample.0.weight") == "layer2.0.downsample.0.conv.weight"
    assert found.place("conv1.3.weight") == "conv1.3.weight"
    assert found.place("layer2.0.downsample.1.weight") == "layer2.0.downsample.1.weight"


def test_a_stock_model_needs_no_surgery() -> None:
    assert Codegen(recipe.compile("base resnet50; init xavier zero-gamma", device="meta")).lines == []


NORM = Layer("BatchNorm2d", {"num_features": 64})


@trick("tweak odd", writes=("stem",))
class Odd(Trick):
    """Edit modules that were edited before, with every kind of edit."""

    def rewrite(self, net: Net) -> Iterable[Site]:
        conv = {"in_channels": 3, "out_channels": 64, "kernel_size": 5, "padding": 2, "bias": False}
        permute = Layer("torchvision.ops:Permute", {"dims": [0, 1, 3, 2]})
        yield Site(
            "stem",
            (
                Substitute("conv1", (("conv1.small", Layer("Conv2d", conv)),)),
                SetAttribute("conv1.small", "stride", (1, 1), (2, 2)),
                Insert("conv1.small", (("conv1.small_norm", NORM), ("conv1.small_turn", permute)), after=True),
                Insert("conv1.small", (("before", Layer("Dropout2d", {"p": 0.5})),)),
                SetAttribute("conv1.small", "dilation", (1, 1), (2, 2)),
                Insert("conv1.small_norm", (("conv1.small_norm.batchnorm", NORM),)),
                Substitute("maxpool", ()),
                Insert("bn1", (("bn1_a-b", NORM), ("bn1_act", Layer("GELU", {"approximate": "tanh"})))),
            ),
        )


def test_edits_of_edited_places(tmp_path: Path) -> None:
    words = Vocabulary([(("tweak", "odd"), Offer("theirs", loaded=Odd))])
    words._offers |= Vocabulary.installed()._offers
    run = train(tmp_path / "odd", text=f"base resnet18; tweak odd; tweak D; {FAKE}", plugins=words)
    script = tmp_path / "odd.py"
    done = recipe.export(run.folder, to="python", out=script, plugins=words)
    assert done.difference is not None
    assert done.difference < 1e-5
    x = images(3, 3, 32, 32)
    assert off(own_logits(runpy.run_path(str(script))["load"](), x), own_logits(run.model, x)) < 1e-5
    text = script.read_text()
    assert "    model.maxpool = nn.Identity()\n" in text
    assert 'nn.GELU(approximate="tanh")' in text
    assert "from torchvision.ops import Permute\n" in text
    assert (
        subprocess.run([sys.executable, "-m", "ruff", "format", "--line-length=120", "--check", script]).returncode == 0
    )


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Insert("layer1.0.relu#2", (("x", NORM),)), "it edits one of several calls of `layer1.0.relu`"),
        (Insert("add", (("x", NORM),)), "it edits `add`, which is an operation in a module's code, not a module"),
        (
            Insert("bn1", (("x", Layer("recipe.graph.net:Net")),)),
            "it uses `Net` of `recipe.graph.net`, which is not part of torch, torchvision or timm",
        ),
        (SetAttribute("conv1", "stride", (2, 2), object), "it sets a value that is not a number, a string or"),
        (SetAttribute("conv1", "scale", 1.0, float("inf")), "it sets a value that is not a number, a string or"),
    ],
)
def test_edits_other_than_module_surgery_are_rejected(edit: Any, said: str) -> None:
    with pytest.raises(recipe.RecipeError) as caught:
        Codegen(with_edits(Site("here", (edit,))))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E121"
    assert diagnostic.message.startswith(f"`tweak A` can't be exported as plain PyTorch: {said}")
    assert diagnostic.help


@pytest.mark.parametrize(("broken", "code"), [("place", "E121"), ("_step", "E122")])
def test_source_of_a_different_model_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, code: str
) -> None:
    run = train(tmp_path / "deep", text=f"base resnet18; tweak D; {FAKE}")
    monkeypatch.setattr(Codegen, broken, lambda self, first, *rest: first)
    with pytest.raises(recipe.RecipeError, match=code):
        recipe.export(run.folder, to="python", out=tmp_path / "deep.py")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


# ---- images


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


def folder_of_images(root: Path) -> Path:
    """Write images of several sizes, modes and orientations, some of them transparent, in two classes."""
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("a cat", "a dog"):
            (root / part / name).mkdir(parents=True)
            for number, shape in enumerate([(40, 57, 3), (91, 64, 3), (50, 50)]):
                pixels = random.integers(0, 256, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
            seen = Image.fromarray(random.integers(0, 256, (47, 61, 4), dtype=np.uint8))
            seen.save(root / part / name / "seen.png", exif=oriented(6))
            deep = random.integers(0, 65536, (45, 60), dtype=np.uint16)
            Image.fromarray(deep).save(root / part / name / "deep.png")
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Return a folder of images, the source exported from a run on it, and the run's recipe."""
    root = tmp_path_factory.mktemp("photos")
    text = f'base shufflenet_v2_x0_5; data folder "{folder_of_images(root / "images")}" size=32 workers=0; {SHORT}'
    run = train(root / "run", text=text)
    recipe.export(run.folder, to="python", out=root / "photos.py")
    return root / "images", root / "photos.py", text


def test_preprocess_matches_the_evaluation_of_the_run(photos: tuple[Path, Path, str]) -> None:
    _, script, text = photos
    preprocess = runpy.run_path(str(script))["preprocess"]
    plan = bind([source_from(text)])
    sets = open_sets(plan)
    prepare = BatchTransform.of(plan, sets, 2, torch.device("cpu"))
    for index, path in enumerate(sets.val.paths):  # type: ignore[attr-defined]
        expected = prepare.normalised(sets.val.fetch(np.array([index]), None).float() / 255)
        with Image.open(path) as image:
            assert torch.allclose(preprocess(image), expected, atol=1e-6)


SHADES = np.linspace(0, 1, 40 * 40).reshape(40, 40)
ODD = {
    "16 bits.png": (SHADES * 65535).astype(np.uint16),
    "16 bits.tif": (SHADES * 65535).astype(np.uint16),
    "8 bits.png": (SHADES * 255).astype(np.uint8),
    "floats.tif": SHADES.astype(np.float32),
    "32 bits.tif": (SHADES * 255).astype(np.int32),
}


@pytest.mark.parametrize("name", ODD)
def test_preprocess_reads_pixels_as_a_run_does(photos: tuple[Path, Path, str], name: str, tmp_path: Path) -> None:
    """Pixels of more bits are scaled, and those without a stated range refused, by both alike."""
    exported = runpy.run_path(str(photos[1]))
    Image.fromarray(ODD[name]).save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        try:
            expected = torch.from_numpy(decode(tmp_path / name, 32, None)).permute(2, 0, 1)[None] / 255
        except RecipeError:
            with pytest.raises(ValueError, match="have no stated range"):
                exported["preprocess"](image)
            return
        mean, std = (torch.tensor(exported[of]).view(3, 1, 1) for of in ("MEAN", "STD"))
        assert torch.allclose(exported["preprocess"](image) * std + mean, expected, atol=1.5 / 255)
        assert expected.max() > 0.9


def test_preprocess_gives_the_right_pixels_of_odd_files_or_refuses_them(
    photos: tuple[Path, Path, str], tmp_path: Path
) -> None:
    to_rgb, read = runpy.run_path(str(photos[1]))["to_rgb"], set()
    for odd in whole(0):
        (tmp_path / "odd").write_bytes(odd.data)
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(tmp_path / "odd") as image:
                if image.format not in formats():  # others are up to Pillow
                    continue
                pixels = np.asarray(to_rgb(image))[:SIDE, :SIDE]
        except Exception:  # decoders raise almost anything
            continue
        assert odd.right is not None, odd.name
        assert np.abs(pixels.astype(float) - odd.right).max() <= odd.near, odd.name
        read.add(odd.name)
    assert len(read) > 0.5 * sum(odd.right is not None for odd in whole(0))


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6])
@pytest.mark.parametrize("shape", [(48, 64), (128, 160), (131, 700), (600, 800), (601, 1200)])
def test_preprocess_decodes_and_crops_as_a_run_does(
    photos: tuple[Path, Path, str], name: str, orientation: int, shape: tuple[int, int], tmp_path: Path
) -> None:
    """Large JPEG files are decoded at a fraction of their size, and boxes of whole pixels have no neighbors."""
    exported, draws = runpy.run_path(str(photos[1])), np.random.default_rng(1)
    pixels = draws.integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, exif=oriented(orientation))
    expected = torch.from_numpy(decode(tmp_path / name, 32, None)).permute(2, 0, 1)
    with Image.open(tmp_path / name) as image:
        inputs = exported["preprocess"](image)[0]
    mean, std = (torch.tensor(exported[of]).view(3, 1, 1) for of in ("MEAN", "STD"))
    assert ((inputs * std + mean) * 255 - expected).abs().max() < 0.01


def test_preprocess_ignores_what_a_run_ignores(photos: tuple[Path, Path, str], tmp_path: Path) -> None:
    run = train(
        tmp_path / "run", text=photos[2].replace("workers=0", "workers=0 orientation=stored background=ignored")
    )
    recipe.export(run.folder, to="python", out=tmp_path / "stored.py")
    exported, path = runpy.run_path(str(tmp_path / "stored.py")), photos[0] / "val" / "a cat" / "seen.png"
    mean, std = (torch.tensor(exported[of]).view(3, 1, 1) for of in ("MEAN", "STD"))
    with Image.open(path) as image:
        inputs = exported["preprocess"](image)[0]
    expected = torch.from_numpy(decode(path, 32, None, neighbors=True, appearance=AS_STORED)).permute(2, 0, 1)
    assert ((inputs * std + mean) * 255 - expected).abs().max() < 0.01
    assert torch.allclose(run.preprocess(path)[0], inputs, atol=1e-6)


def test_preprocess_does_not_crop_images_of_one_size(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    run = train(tmp_path / "digits", text="base shufflenet_v2_x0_5; data digits size=24; batch 512; epochs 1; lr 0.01")
    recipe.export(run.folder, to="python", out=tmp_path / "digits.py")
    preprocess = runpy.run_path(str(tmp_path / "digits.py"))["preprocess"]
    sets = open_sets(run_plan(run.folder))
    prepare = BatchTransform.of(run_plan(run.folder), sets, 10, torch.device("cpu"))
    digits = load_digits()
    held_out = np.concatenate([np.flatnonzero(digits.target == label)[4::5] for label in range(10)])
    for place, number in enumerate(sorted(held_out)[:5]):
        image = Image.fromarray(np.rint(digits.images[number] * (255 / 16)).astype(np.uint8))
        expected = prepare.normalised(sets.val.fetch(np.array([place]), None).float() / 255)
        assert torch.allclose(preprocess(image), expected, atol=1e-6)


def run_plan(folder: Path) -> recipe.Plan:
    return recipe.compile(folder / "recipe.lock", device="meta").plan


def test_the_script_prints_the_class_of_an_image(photos: tuple[Path, Path, str], tmp_path: Path) -> None:
    root, script, _ = photos
    said = alone(script, root / "val" / "a cat" / "0.png", cwd=tmp_path)
    assert said.strip() in ("a cat", "a dog")


@pytest.mark.parametrize("name", ["nowhere.png", "text.png"])
def test_the_script_reports_a_file_that_is_not_an_image(
    name: str, photos: tuple[Path, Path, str], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("not an image")
    call = [sys.executable, "-I", str(photos[1]), name]
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr.startswith(f"can't read {name}: ")) == (1, True)
    assert "Traceback" not in done.stderr


def test_the_docstring_of_the_source_describes_the_model(photos: tuple[Path, Path, str]) -> None:
    root, script, _ = photos
    text = script.read_text()
    about = inspect.cleandoc(runpy.run_path(str(script))["__doc__"])
    assert about.startswith("shufflenet_v2_x0_5, trained by this recipe (plan ")
    assert f'    data folder path="{root}" size=32 workers=0 on-error=fail split-seed=0 subfolders=join ' in about
    assert "The center of the image, 224/256 of its short side, is resized to 32 × 32 pixels" in about
    assert "import recipe" not in text
