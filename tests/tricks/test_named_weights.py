"""Weights by name: tags of timm, repositories of the Hugging Face Hub, and what is in their caches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import save_file

import recipe
from recipe.base.errors import RecipeError
from recipe.compiler.program import Program
from recipe.inference import pretrained
from recipe.inference.pretrained import expected_inputs, without_dataset
from recipe.plan.bind import resolve
from recipe.testing import assert_rejects
from recipe.training.setup import prepare
from tests.helpers import command

MODEL = "base timm:test_resnet"
TAG = "r160_in1k"
IMAGES = "data fake size=32 classes=10 images=8; batch 4; epochs 1; lr 1e-4"

Keep = Callable[..., dict[str, torch.Tensor]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of the hub. The network is not used, and fails."""

    def fails(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", fails)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fails)
    return tmp_path / "hub"


@pytest.fixture
def keep(cache: Path) -> Keep:
    """Return a function that puts weights into the cache, as a download does, and returns them."""

    def kept(repository: str, classes: int = 1000, name: str = "model.safetensors") -> dict[str, torch.Tensor]:
        torch.manual_seed(5)
        state: dict[str, torch.Tensor] = timm.create_model("test_resnet", num_classes=classes).state_dict()
        folder = cache / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        (folder / "snapshots" / "abc").mkdir(parents=True)
        file = folder / "snapshots" / "abc" / name
        save_file(state, file) if name.endswith("safetensors") else torch.save(state, file)
        return state

    return kept


def assert_same(program: Program, state: dict[str, torch.Tensor], count: int = 92) -> None:
    assert program.fit
    assert len(program.fit.loaded) == count
    found = program.model.state_dict()
    assert all(torch.equal(found[name], state[name]) for name in program.fit.loaded)


@pytest.mark.parametrize(
    "words", [f"{MODEL} weights=DEFAULT", f"{MODEL} weights={TAG}", f"{MODEL}.{TAG} weights=DEFAULT"]
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_weights_of_timm_from_its_cache(words: str, name: str, keep: Keep) -> None:
    state = keep(f"timm/test_resnet.{TAG}", name=name)
    assert_same(recipe.compile(f"{words} classes=1000"), state)
    assert_same(recipe.compile(f"{words} classes=10"), state, 90)


def test_a_tag_in_a_name_without_weights_names_the_architecture() -> None:
    tagged, plain = (recipe.compile(f"{name} classes=10") for name in (f"{MODEL}.{TAG}", MODEL))
    assert tagged.fit is None
    for name, value in plain.model.state_dict().items():
        assert torch.equal(tagged.model.state_dict()[name], value)


@pytest.mark.parametrize("words", ["timm:resnet18.a9", "timm:resnet18 weights=a9"])
def test_unknown_tags_are_errors_with_the_known_ones(words: str) -> None:
    told = assert_rejects(f"base {words}", "E023")
    assert told.message == "`timm:resnet18` has no weights `a9`"
    assert told.help.startswith("use one of `DEFAULT`, `a1_in1k`, `a2_in1k`,")
    assert told.help.endswith(", or name a file in quotes")


@pytest.mark.parametrize("model", ["timm:resnet18", "resnet18"])
def test_a_file_without_quotes_gets_them(model: str) -> None:
    told = assert_rejects(f"base {model} weights=last.pth.tar", "E023")
    assert told.message == f"`{model}` has no weights `last.pth.tar`"
    assert told.help.startswith("use one of `DEFAULT`, ")
    assert told.help.endswith(', or write `weights="last.pth.tar"` for a file')


@pytest.mark.parametrize(
    ("path", "help"),
    [
        ("hf-hub:timm/resnet18.a1_in1k", 'write `weights="hf_hub:OWNER/NAME"` for a repository'),
        ("https://example.org/resnet18.pth", "download the file, and name it: no address is opened"),
        ("nowhere.pth", "a relative path begins at the folder of the recipe"),
    ],
)
def test_what_is_no_file_here_gets_help(path: str, help: str) -> None:
    told = assert_rejects(f'base timm:resnet18 weights="{path}"', "E001")
    assert told.message.startswith("file not found: ")
    assert told.help.startswith(help)


def test_two_tags_are_an_error() -> None:
    told = assert_rejects("base timm:resnet18.a1_in1k weights=a2_in1k", "E023")
    assert told.message == "`timm:resnet18.a1_in1k` and `weights=a2_in1k` name different weights"
    assert told.help == "write `base timm:resnet18 weights=a2_in1k`"


def test_models_that_timm_has_no_weights_of_are_an_error() -> None:
    assert_rejects("base timm:resnet10t.nope", "E023")
    name = next(name for name in timm.list_models("resnet*") if not timm.get_pretrained_cfg(name).has_weights)
    assert "has no" in assert_rejects(f"base timm:{name} weights=DEFAULT", "E023").message


def test_a_model_that_timm_lacks_is_an_error_with_or_without_a_tag() -> None:
    for name in ("nonet", "nonet.a1"):
        assert assert_rejects(f"base timm:{name}", "E102").message.endswith("timm has no model `nonet`")


def test_weights_of_a_tag_expect_its_inputs(keep: Keep) -> None:
    keep(f"timm/test_resnet.{TAG}")
    expected = timm.get_pretrained_cfg(f"test_resnet.{TAG}")
    found = command("explain", f"{MODEL} weights={TAG}; {IMAGES}")
    assert f"size {expected.input_size[-1]}, not 32" in " ".join(found.stdout.split())


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("classes", [7, 10])
def test_weights_of_a_repository_from_the_cache(classes: int, name: str, keep: Keep) -> None:
    state = keep("someone/birds", classes, name)
    program = recipe.compile(f'{MODEL} weights="hf_hub:someone/birds" classes=10')
    assert_same(program, state, 92 if classes == 10 else 90)
    assert program.notes[0].startswith(f"weights: {len(program.fit.loaded)} of 92 tensors in `hf_hub:someone/birds`")


def test_weights_of_a_repository_are_downloaded_when_the_recipe_is_compiled(
    keep: Keep, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, state, asked = f'{MODEL} weights="hf_hub:someone/birds" classes=10', dict[str, torch.Tensor](), []

    def found(url: str, **_: object) -> None:
        asked.append(url)
        if url.endswith("safetensors"):
            raise EntryNotFoundError("404")

    def downloaded(repository: str, name: str, revision: str | None) -> str:
        assert (repository, name, revision) == ("someone/birds", "pytorch_model.bin", None)
        state.update(keep(repository, 10, name))
        return str(cache / "models--someone--birds" / "snapshots" / "abc" / name)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", found)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", downloaded)
    explained = recipe.compile(text, device="meta")
    assert explained.notes[0] == ("weights: `hf_hub:someone/birds` is not downloaded yet, so its tensors are unknown")
    assert not asked
    with pytest.raises(RecipeError, match=r"E001.*is not downloaded yet"):
        explained.materialise()
    assert_same(recipe.compile(text), state)
    assert [url.rsplit("/")[-1] for url in asked] == ["model.safetensors", "pytorch_model.bin"]


@pytest.mark.parametrize(
    ("words", "repository"),
    [
        ('weights="hf_hub:someone/birds"', "someone/birds"),
        ("weights=DEFAULT", f"timm/test_resnet.{TAG}"),
    ],
)
def test_weights_that_can_t_be_reached_are_reported(words: str, repository: str, cache: Path) -> None:
    text = f"{MODEL} {words}; {IMAGES}"
    for dry in (["--dry-run"], ["--out", str(cache.parent / "out")]):
        found = command("run", text, "--device", "cpu", *dry)
        said = " ".join(found.stderr.split())
        assert found.status == 2, said
        assert f"can't be downloaded from https://huggingface.co/{repository}/resolve/main/model.safetensors" in said
        assert "no route to host" in said
        assert f"it was looked for in `{cache}/models--{repository.replace('/', '--')}`" in said
        assert 'name the file: `weights="PATH"`' in said
    assert not (cache.parent / "out").exists()
    for words_ in (["check", text], ["explain", text]):  # these never use the network
        assert command(*words_).status == 0


@pytest.mark.parametrize("name", ["birds", "/birds", "a/b/c", ""])
def test_what_names_no_repository_is_an_error(name: str) -> None:
    told = assert_rejects(f'{MODEL} weights="hf_hub:{name}"', "E023")
    assert told.help == 'write `weights="hf_hub:OWNER/NAME"`'


def test_a_recipe_keeps_the_name_of_a_repository() -> None:
    plan = resolve(f'{MODEL} weights="hf_hub:someone/birds@v1" least=50%')
    again = resolve(plan.canonical())
    assert 'weights="hf_hub:someone/birds@v1"' in plan.canonical()
    assert again.digest == plan.digest
    assert resolve(f"{MODEL} least=50%").digest == resolve(MODEL).digest  # it changes no result


def test_least_without_weights_is_reported() -> None:
    found = command("check", f"{MODEL} least=50%")
    assert "`least` has no effect without `weights`" in found.stdout


def test_a_repository_that_states_other_inputs_is_reported(keep: Keep, cache: Path) -> None:
    """It is unknown before the download, so a recipe means the same before and after it."""
    keep("owner/name", 10)
    text = f'{MODEL} weights="hf_hub:owner/name"; {IMAGES}'
    before = resolve(text)
    assert not prepare(before)[1].warnings
    config = {"pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "input_size": [3, 32, 32]}}
    (cache / "models--owner--name" / "snapshots" / "abc" / "config.json").write_text(json.dumps(config))
    assert resolve(text).digest == before.digest
    (warning,) = prepare(resolve(text))[1].warnings
    assert "`hf_hub:owner/name` was trained on other inputs than this run feeds it: mean 0.1 0.2 0.3" in warning.message


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"crop_mode": "squash", "crop_pct": 0.9}, "crop 0.9 of the squashed image, not 1"),
        ({"crop_mode": "border", "crop_pct": 1.0}, "crop 1.0 of the image in a border, not 1"),
        ({"crop_mode": "center", "crop_pct": 1.15}, "crop 1.15 of the image in a border, not 1"),
        ({"crop_mode": "squash", "crop_pct": 1.0}, ""),
        ({"crop_pct": 1.0, "interpolation": "lanczos"}, "interpolation lanczos, not bicubic"),
    ],
)
def test_what_a_recipe_can_t_state_of_a_repository_is_reported(
    config: dict[str, object], said: str, keep: Keep, cache: Path
) -> None:
    keep("owner/name", 10)
    config = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"} | config
    (cache / "models--owner--name" / "snapshots" / "abc" / "config.json").write_text(json.dumps(config))
    images = "data digits size=32; batch 512; epochs 1; lr 1e-4; input mean=0.5 0.5 0.5 std=0.5 0.5 0.5"
    images += " interpolation=bicubic; evaluation interpolation=bicubic"
    _, program = prepare(resolve(f'{MODEL} weights="hf_hub:owner/name"; {images}'))
    told = [warning.message.partition("feeds it: ")[2] for warning in program.warnings]
    assert told == ([said] if said else [])


def test_without_a_dataset_images_become_inputs_as_the_repository_states_from_the_first_time_on(
    keep: Keep, cache: Path
) -> None:
    """Until the download, the recipe has the inputs of the model's published weights, which are others."""
    keep("owner/name", 10)
    path = cache / "models--owner--name" / "snapshots" / "abc" / "config.json"
    plan = resolve(f'{MODEL} classes=10 weights="hf_hub:owner/name"')
    config = {"mean": [0.1, 0.2, 0.3], "std": [0.4] * 3, "input_size": [3, 32, 32], "crop_pct": 1.0}
    path.write_text(json.dumps(config | {"interpolation": "bicubic"}))
    _, made, notes = without_dataset(plan)
    assert (made.size, made.crop, made.interpolation, notes) == (32, 1.0, "bicubic", [])
    assert (made.mean, made.std) == ((0.1, 0.2, 0.3), (0.4, 0.4, 0.4))
    made, _ = expected_inputs(resolve(plan, "input mean=0.5 0.5 0.5"))
    assert (made.mean, made.std) == ((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))
    path.write_text(json.dumps(config | {"interpolation": "lanczos"}))
    made, notes = expected_inputs(plan)
    assert (made.interpolation, notes) == (
        "bilinear",
        ["the weights expect lanczos interpolation, which a recipe can't state"],
    )


def test_the_inputs_of_a_repository_are_looked_at_after_its_download(
    keep: Keep, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep("owner/name", 10)
    folder = cache / "models--owner--name" / "snapshots" / "abc"
    lowered = pretrained.pretrained_of

    def downloading(*arguments: Any) -> Any:
        config = {"mean": [0.1] * 3, "std": [0.4] * 3, "input_size": [3, 32, 32]}
        (folder / "config.json").write_text(json.dumps(config))
        return lowered(*arguments)

    monkeypatch.setattr(pretrained, "pretrained_of", downloading)
    found, made, _ = without_dataset(resolve(f'{MODEL} classes=10 weights="hf_hub:owner/name"'))
    assert (made.size, made.mean, found.program.costs.size) == (32, (0.1, 0.1, 0.1), 32)
