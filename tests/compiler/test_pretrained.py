"""`weights=` sets every tensor that fits the rewritten model, and reports or rejects the rest."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import WeightsEnum

import recipe
from recipe.base.errors import RecipeError
from recipe.compiler.program import Program
from recipe.graph.net import Net
from recipe.plugins.vocabulary import Vocabulary
from recipe.testing import assert_rejects
from recipe.training.setup import prepare
from tests.helpers import bind

State = dict[str, torch.Tensor]
Save = Callable[[State], str]


@cache
def weights(text: str) -> State:
    return recipe.compile(text).model.state_dict()


@cache
def trained(text: str) -> State:
    """Return weights in which every buffer differs from its initial value too."""
    state = {name: tensor.clone() for name, tensor in weights(text).items()}
    return {name: tensor + 1 if "running" in name else tensor for name, tensor in state.items()}


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Save:
    monkeypatch.chdir(tmp_path)  # messages then have the name of the file alone

    def saved(state: State) -> str:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "w.safetensors")
        return f'weights="{tmp_path}/w.safetensors"'

    return saved


def assert_same(program: Program, state: State, names: list[str]) -> None:
    found = program.model.state_dict()
    for name in names:
        assert torch.equal(found[name], state[name]), name


def rejected(text: str, code: str = "E102") -> str:
    with pytest.raises(RecipeError) as caught:
        assert recipe.compile(text).model
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code, diagnostic
    return f"{diagnostic.message}; {diagnostic.help}"


# ---- what is loaded


def test_weights_of_a_file_are_loaded_and_not_initialized(save: Save) -> None:
    state = trained("base resnet18 classes=10; init kaiming; seed 9")
    program = recipe.compile(f"base resnet18 {save(state)} classes=10; init xavier; init zero-gamma")
    assert_same(program, state, [*state])
    assert {*program.fates.values()} == {"loaded"}


@pytest.mark.parametrize("tweaks", ["C", "D", "C D se", "blurpool", "A", "stochastic-depth"])
def test_a_run_s_own_weights_are_loaded_in_full(tweaks: str, save: Save) -> None:
    """Layers that a tweak made are loaded too, with their running statistics."""
    text = f"classes=10; tweak {tweaks}"
    state = trained(f"base resnet18 {text}; seed 9")
    program = recipe.compile(f"base resnet18 {save(state)} {text}; init xavier; init zero-gamma")
    assert_same(program, state, [*state])
    assert {*program.fates.values()} <= {"loaded", "dropped"}
    assert program.notes[0] == (
        f"weights: {len(state)} of {len(state)} tensors in `w.safetensors` fit and are loaded: "
        f"{len([*program.model.parameters()])} of the model's {len([*program.model.parameters()])} parameters"
    )
    assert not any("not loaded" in note or "not used" in note for note in program.notes)


def test_stock_weights_are_loaded_around_the_layers_that_a_tweak_makes(save: Save) -> None:
    state = trained("base resnet18 classes=10; seed 9")
    text = "classes=10; tweak C se"
    program, fresh = recipe.compile(f"base resnet18 {save(state)} {text}"), weights(f"base resnet18 {text}")
    assert_same(program, state, [name for name in state if name != "conv1.weight"])
    assert program.fates["conv1.weight"] == "dropped"
    new = [name for name in fresh if name not in state]
    assert {program.fates[name] for name in new if name in program.fates} == {"new"}
    assert_same(program, fresh, new)
    assert [note for note in program.notes if "not used" in note] == [
        "weights: 1 tensor in the weights not used: `conv1.weight` (of a layer that a tweak replaces)"
    ]


def test_weights_of_a_replaced_layer_do_not_set_a_layer_of_the_same_name(tmp_path: Path, save: Save) -> None:
    """A group norm at the address of a batch norm has the same parameters, but only its own file sets them."""
    (tmp_path / "group.py").write_text(
        "from recipe.api import Layer, Site, Substitute, Trick, trick\n\n\n"
        '@trick("tweak group", writes=("stem",))\n'
        "class Group(Trick):\n"
        '    """Normalize the stem in groups."""\n\n'
        "    def rewrite(self, net):\n"
        '        layer = Layer("GroupNorm", {"num_groups": 8, "num_channels": 64})\n'
        '        yield Site("bn1", (Substitute("bn1", (("bn1", layer),)),))\n'
    )
    words = Vocabulary.installed([tmp_path / "group.py"])
    text = "classes=10; tweak group"
    own = recipe.compile(f"base resnet18 {text}", plugins=words).model.state_dict()
    own["bn1.weight"] += 2
    for state, fate in ((own, "loaded"), (trained("base resnet18 classes=10"), "new")):
        program = recipe.compile(f"base resnet18 {save(state)} {text}", plugins=words)
        assert program.fates["bn1.weight"] == fate
        assert program.model.get_parameter("bn1.weight").mean().item() == (3 if fate == "loaded" else 1)


def test_a_last_layer_of_another_shape_is_initialized(save: Save) -> None:
    state = trained("base resnet18 classes=10; seed 9")
    program, fresh = recipe.compile(f"base resnet18 {save(state)} classes=4"), weights("base resnet18 classes=4")
    assert {name for name, fate in program.fates.items() if fate != "loaded"} == {"fc.weight", "fc.bias"}
    assert_same(program, state, [name for name in state if not name.startswith("fc.")])
    assert_same(program, fresh, ["fc.weight", "fc.bias"])
    assert program.notes[:2] == (
        "weights: 120 of 122 tensors in `w.safetensors` fit and are loaded: 60 of the model's 62 parameters",
        "weights: 2 tensors of the model not loaded: `fc.weight` (4×512; 10×512 in the weights), "
        "`fc.bias` (4; 10 in the weights)",
    )


def test_missing_running_statistics_are_reported_and_missing_counters_are_not(save: Save) -> None:
    state = trained("base resnet18 classes=10")
    state = {name: state[name] for name in state if not name.startswith("bn1.running") and "num_batches" not in name}
    program = recipe.compile(f"base resnet18 {save(state)} classes=10")
    assert program.fit
    assert [*program.fit.fresh] == ["bn1.running_mean", "bn1.running_var"]


def test_tensors_that_the_model_lacks_are_reported(save: Save) -> None:
    state = trained("base resnet18 classes=10") | {f"ema.{number}": torch.zeros(1) for number in range(5)}
    notes = recipe.compile(f"base resnet18 {save(state)} classes=10").notes
    assert "weights: 5 tensors in the weights not used: " in notes[1]
    assert notes[1].endswith("`ema.2` (not in the model) and 2 more")


# ---- types and values


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_converted_and_reported(kind: torch.dtype, save: Save) -> None:
    state = weights("base resnet18 classes=10")
    converted = {name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    program = recipe.compile(f"base resnet18 {save(converted)} classes=10")
    assert {parameter.dtype for parameter in program.model.parameters()} == {torch.float32}
    assert torch.equal(program.model.conv1.weight, state["conv1.weight"].to(kind).float())
    assert program.notes[1] == f"weights: 102 tensors converted from {str(kind).removeprefix('torch.')}"


@pytest.mark.parametrize("kind", [torch.int8, torch.int64, torch.complex64, torch.bool])
def test_values_that_are_not_floats_do_not_fit(kind: torch.dtype, save: Save) -> None:
    state = weights("base resnet18 classes=10")
    one = recipe.compile(f"base resnet18 {save(state | {'conv1.weight': state['conv1.weight'].to(kind)})} classes=10")
    named = str(kind).removeprefix("torch.")
    assert one.fit
    assert one.fit.fresh == {"conv1.weight": f"float32; {named} in the weights"}
    every = {name: tensor.to(kind) for name, tensor in state.items()}
    assert rejected(f"base resnet18 {save(every)} classes=10")


@pytest.mark.parametrize(
    ("name", "value"),
    [("layer1.0.conv1.weight", "nan"), ("layer1.0.conv1.weight", "inf")]
    + [("bn1.running_var", value) for value in ("nan", "inf", "1e300")],
)
def test_values_that_are_not_finite_are_rejected(name: str, value: str, save: Save) -> None:
    state = trained("base resnet18 classes=10")
    state = state | {name: torch.full_like(state[name], float(value), dtype=torch.float64)}
    said = rejected(f"base resnet18 {save(state)} classes=10", "E001")
    assert f"`{name}` in `w.safetensors` has values that are not finite" in said


# ---- weights of another model


@pytest.mark.parametrize("other", ["resnet50", "mobilenet_v2"])
def test_weights_of_another_model_are_rejected(other: str, save: Save) -> None:
    state = weights(f"base {other} classes=10; init stock")
    assert "`resnet18`" in rejected(f"base resnet18 {save(state)} classes=10")


def test_a_different_first_layer_is_reported(save: Save) -> None:
    state = weights("base resnet18 classes=10") | {"conv1.weight": torch.zeros(64, 3, 5, 5)}
    notes = recipe.compile(f"base resnet18 {save(state)} classes=10").notes
    assert "`conv1.weight` (64×3×7×7; 64×3×5×5 in the weights)" in notes[1]


@pytest.mark.parametrize(
    ("missing", "accepted"),
    [
        (["features.12.expand3x3.bias", "features.12.expand1x1.bias"], True),
        ([f"features.{number}.squeeze.bias" for number in (3, 4, 6, 7, 9, 10)], False),  # 6 of 50 tensors
        (["features.12.expand3x3.weight"], False),  # a fifth of the values
        (["features.12.squeeze.bias", "classifier.1.weight", "classifier.1.bias"], True),
    ],
)
def test_nine_tenths_of_the_model_must_fit(missing: list[str], accepted: bool, save: Save) -> None:
    """By tensors and by values, not counting the last layer."""
    state = weights("base squeezenet1_1 classes=10; init stock")
    assert {*missing} <= {*state}
    text = f"base squeezenet1_1 {save({name: state[name] for name in state if name not in missing})} classes=10"
    if accepted:
        assert recipe.compile(text, device="meta").fit
    else:
        assert "90% are needed), not counting the last layer: " in rejected(text)


def test_weights_of_a_deeper_model_are_reported(save: Save) -> None:
    """They set the whole model, so that only the tensors that are left over show it."""
    text = "data fake size=32 classes=10 images=8; batch 4"
    _, program = prepare(bind(f"base resnet18 {save(weights('base resnet34 classes=10'))}; {text}"))
    (warning,) = program.warnings
    assert warning.message == "`w.safetensors` may be of another model: `resnet18` has no place for 96 tensors of it"


@pytest.mark.parametrize("base", ["resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "googlenet", "swin_t"])
def test_weights_without_a_head_fit(base: str, save: Save) -> None:
    text = f"base {base} classes=300; init stock; data fake size=64 classes=300"
    state = weights(text)
    net = Net(recipe.compile(text, device="meta").structure)
    assert net.heads
    body = {name: state[name] for name in state if not name.startswith(tuple(f"{head}." for head in net.heads))}
    assert len(body) < len(state)
    program = recipe.compile(text.replace("classes=300; init", f"classes=300 {save(body)}; init"), device="meta")
    assert program.fit
    assert len(program.fit.loaded) == len(body)


def test_a_file_without_tensors_is_rejected(save: Save) -> None:
    assert "`w.safetensors` contains no tensors" in rejected(f"base resnet18 {save({})} classes=10")


# ---- files


def _header(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _tensor(dtype: str = "F32", shape: object = (2,), offsets: tuple[int, int] = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no tensors here",
        _header(b"{}", length=1 << 60),
        _header(b'{"a":' + b"[" * 200_000),
        _header({"a": _tensor(), "b": _tensor(offsets=(4, 12))}, bytes(12)),
        _header(b'{"a":%b,"a":%b}' % (json.dumps(_tensor()).encode(), json.dumps(_tensor(offsets=(8, 16))).encode())),
        _header({"a": _tensor("F64")}, bytes(8)),
        _header({"a": _tensor()}, bytes(4)),
        _header({"a": _tensor(shape=(-2,))}, bytes(8)),
        _header({"a": _tensor(shape=(0, 1 << 62, 4), offsets=(0, 0))}),
        _header({"a": {"dtype": "hunter2"}}),  # safetensors quotes it in its error
        _header({"a": 1}),
        b"PK\x03\x04" + bytes(100),
    ],
    ids=range(13),
)
def test_a_damaged_or_hostile_file_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    told = assert_rejects(f'base resnet18 weights="{tmp_path}/w.safetensors"', "E001")
    whats = ("is empty", "is not a safetensors file", "is damaged, or not a file of weights")
    assert told.message in {f"`{tmp_path}/w.safetensors` {what}" for what in whats}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "file not found"),
        ("missing/file", "file not found"),
        ("pipe", "not a regular file"),
        ("folder", "is a folder"),
        ("null", "not a regular file"),
        ("loop", "can't be read: too many levels"),
        ("pipe/file", "can't be read: not a directory"),
        ("x" * 300, "can't be read: file name too long"),
    ],
)
def test_anything_but_a_regular_file_is_an_error(name: str, said: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to("loop")
    assert said in assert_rejects(f'base resnet18 weights="{tmp_path}/{name}"', "E001").message


def test_types_that_torch_lacks_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(_header({"a": _tensor("F4", offsets=(0, 1))}, bytes(1)))
    told = assert_rejects(f'base resnet18 weights="{tmp_path}/w.safetensors"', "E001")
    assert told.message == f"`{tmp_path}/w.safetensors` has tensors of the type F4"


@pytest.mark.parametrize("change", ["shape", "name", "kind", "gone"])
def test_a_file_that_changes_before_it_is_loaded_is_an_error(change: str, tmp_path: Path, save: Save) -> None:
    state = weights("base resnet18 classes=10")
    program = recipe.compile(f"base resnet18 {save(state)} classes=10")
    other = dict(state)
    value = other.pop("bn1.bias")
    if change != "name":
        other["bn1.bias"] = value[:1] if change == "shape" else value.long()
    save(other)
    if change == "gone":
        (tmp_path / "w.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"E001.*(changed since the recipe was compiled|file not found)"):
        assert program.model


# ---- torchvision's names


def test_weights_that_torchvision_does_not_have_are_an_error() -> None:
    diagnostic = assert_rejects("base resnet18 weights=IMAGENET1K_V9", "E023")
    assert "IMAGENET1K_V1" in diagnostic.help


def test_pretrained_weights_are_not_downloaded_on_the_meta_device() -> None:
    program = recipe.compile("base resnet18 weights=IMAGENET1K_V1 classes=10; tweak D", device="meta")
    assert {name for name, fate in program.fates.items() if fate != "loaded"} == {"fc.weight", "fc.bias"}


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> Callable[[State], None]:
    """Return a function that sets what torchvision downloads."""

    def give(state: State) -> None:
        monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: dict(state))

    return give


def test_tensors_that_torchvision_renames_are_loaded(downloads: Callable[[State], None]) -> None:
    """The files of DenseNet have names of an earlier release."""
    state = trained("base densenet121 classes=1000; init stock; seed 9")
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))([12]\.)")
    downloads({old.sub(r"\1.\2", name): tensor for name, tensor in state.items() if "num_batches" not in name})
    generator = torch.get_rng_state()
    program = recipe.compile("base densenet121 weights=DEFAULT classes=1000")
    assert_same(program, state, [name for name in state if "num_batches" not in name])
    assert torch.equal(generator, torch.get_rng_state())


def test_a_download_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", fails)
    said = rejected("base resnet18 weights=DEFAULT classes=5", "E001")
    assert "the weights `DEFAULT` of `resnet18` can't be downloaded from https://download.pytorch.org/" in said
    assert "no route to host; download it elsewhere, and put it at `" in said
