"""Weights load in every form in which people save them, and what doesn't fit is refused with counts."""

from __future__ import annotations

import argparse
import collections
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import load_checkpoint
from timm.utils import CheckpointSaver, ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.serialization import set_crc32_options

import recipe
from recipe.base.errors import RecipeError
from recipe.compiler.naming import with_channels
from recipe.compiler.program import Program

State = dict[str, torch.Tensor]

BASE = "base timm:test_resnet classes=10"


def made(seed: int = 1, **options: Any) -> nn.Module:
    """Return a trained model: also its running statistics differ from initial ones."""
    torch.manual_seed(seed)
    model: nn.Module = timm.create_model("test_resnet", num_classes=options.pop("classes", 10), **options)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer))
    return model


@cache
def state(seed: int = 1, classes: int = 10) -> State:
    return made(seed, classes=classes).state_dict()


def compiled(path: Path, more: str = "", base: str = BASE) -> Program:
    head, _, rest = base.partition(";")
    return recipe.compile(f'{head} weights="{path}" {more}; {rest}')


def saved(content: Any, path: Path, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def assert_loaded(program: Program, expected: State, count: int | None = None) -> None:
    """Assert that a number of tensors are loaded, by default all, and that they have the expected values."""
    assert program.fit
    assert len(program.fit.loaded) == (len(expected) if count is None else count)
    found = program.model.state_dict()
    for name in program.fit.loaded:
        assert torch.equal(found[name], expected[name]), name


def said_of(program: Program) -> str:
    assert program.fit
    return "; ".join(program.fit.found)


def refused(path: Path, more: str = "", code: str = "E102", base: str = BASE) -> str:
    with pytest.raises(RecipeError) as caught:
        assert compiled(path, more, base).model
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code, diagnostic
    return f"{diagnostic.message}; {diagnostic.help}"


# ---- checkpoints of trainers, each made by the code that writes it


def test_timm_s_checkpoints_and_their_averages(tmp_path: Path) -> None:
    model, average = made(1), made(2)
    args = argparse.Namespace(model="test_resnet", lr=0.1, path=Path("/data"))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.rand(2, 3, 64, 64)).sum().backward()
    optimizer.step()
    ema = ModelEmaV3(model)
    ema.module.load_state_dict(average.state_dict())
    kinds = {"averaged": ema, "plain": None}
    for kind, averages in kinds.items():
        (tmp_path / kind).mkdir()
        saver = CheckpointSaver(model, optimizer, args, averages, checkpoint_dir=tmp_path / kind)
        saver.save_checkpoint(3, metric=np.float64(71.5))
    path = tmp_path / "averaged" / "last.pth.tar"
    program = compiled(path)
    assert_loaded(program, average.state_dict())
    assert said_of(program) == "from `state_dict_ema`, the average of `state_dict`"
    theirs = timm.create_model("test_resnet", num_classes=10)  # timm takes the same ones
    load_checkpoint(theirs, str(tmp_path / "averaged" / "last.pth.tar"), use_ema=True, weights_only=False)
    assert all(torch.equal(value, program.model.state_dict()[name]) for name, value in theirs.state_dict().items())
    program = compiled(tmp_path / "plain" / "last.pth.tar")
    assert_loaded(program, model.state_dict())
    assert said_of(program) == "from `state_dict`"


class _Averaged(AveragedModel):
    """torchvision's reference code averages like this."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, avg_fn=lambda old, new, _: decay * old + (1 - decay) * new, use_buffers=True)


def test_checkpoints_of_torchvision_s_references(tmp_path: Path) -> None:
    model = made(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 30).state_dict(),
        "epoch": 3,
        "args": argparse.Namespace(model="resnet18", device=torch.device("cpu"), milestones=collections.Counter("ab")),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
    }
    program = compiled(saved(checkpoint, tmp_path / "model_3.pth"))
    assert_loaded(program, model.state_dict())
    assert said_of(program) == "from `model`"
    average = _Averaged(made(2), 0.99)
    program = compiled(saved({**checkpoint, "model_ema": average.state_dict()}, tmp_path / "checkpoint.pth"))
    assert_loaded(program, average.module.state_dict())
    assert said_of(program) == "from `model_ema`, the average of `model`; `module.` removed from names"
    assert program.fit
    assert program.fit.unused == {"n_averaged": "of something else than the model"}


class AttributeDict(dict[str, Any]):
    """Lightning's hyper-parameters are of such a class: a dict with items, which torch's `weights_only` refuses."""


def test_lightning_s_checkpoints(tmp_path: Path) -> None:
    names = {f"model.{name}": tensor for name, tensor in state().items()}
    checkpoint = {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {**names, "criterion.weight": torch.ones(10), "metric.total": torch.tensor(3)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.7)}},
        "optimizer_states": [torch.optim.AdamW(made().parameters()).state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": AttributeDict(lr=0.1, sizes=collections.defaultdict(list, a=[1]), mean=np.float32(0.5)),
    }
    program = compiled(saved(checkpoint, tmp_path / "last.ckpt"))
    assert_loaded(program, state())
    assert said_of(program) == "from `state_dict`; `model.` removed from names"
    assert program.fit
    assert program.fit.unused == dict.fromkeys(("criterion.weight", "metric.total"), "of something else than the model")


def test_averages_next_to_the_model_in_one_state_dict(tmp_path: Path) -> None:
    content = {f"model.{name}": tensor for name, tensor in state(1).items()}
    content |= {f"ema_model.module.{name}": tensor for name, tensor in state(2).items()}
    program = compiled(saved({"state_dict": content}, tmp_path / "last.ckpt"))
    assert_loaded(program, state(2))
    assert program.fit
    assert (len(program.fit.unused), program.fit.strays) == (92, 0)  # so it isn't reported as another model's
    said = "`ema_model.module.` removed from names; these are averages, used instead of `model.…`"
    assert said_of(program) == f"from `state_dict`; {said}"


def test_averages_next_to_a_model_without_a_prefix(tmp_path: Path) -> None:
    content = {**state(1), **{f"ema.{name}": tensor for name, tensor in state(2).items()}}
    program = compiled(saved(content, tmp_path / "w.pt"))
    assert_loaded(program, state(2))
    assert said_of(program) == "`ema.` removed from names; these are averages"


# ---- wrappers of models


@pytest.mark.parametrize("compiles", [False, True])
def test_models_in_data_parallel_processes(compiles: bool, tmp_path: Path) -> None:
    model = made()
    inner = torch.compile(model) if compiles else model
    wrapped = nn.DataParallel(inner)  # its names are those of DistributedDataParallel, which needs processes
    assert all(name.startswith("module._orig_mod." if compiles else "module.") for name in wrapped.state_dict())
    program = compiled(saved(wrapped.state_dict(), tmp_path / "ddp.pth"))
    assert_loaded(program, state())
    removed = "`_orig_mod.` and `module.`" if compiles else "`module.`"
    assert said_of(program) == f"{removed} removed from names"
    assert f"weights: {removed} removed from names" in program.notes


def test_a_model_that_is_compiled_in_whole_or_in_parts(tmp_path: Path) -> None:
    program = compiled(saved(torch.compile(made()).state_dict(), tmp_path / "whole.pth"))
    assert_loaded(program, state())
    model = made()
    model.layer1 = torch.compile(model.layer1)  # type: ignore[assignment]
    content = model.state_dict()
    assert "layer1._orig_mod.0.conv1.weight" in content
    program = compiled(saved(content, tmp_path / "parts.pth"))
    assert_loaded(program, state())
    assert said_of(program) == "`_orig_mod.` removed from names"


def test_an_averaged_model(tmp_path: Path) -> None:
    average = AveragedModel(made(), multi_avg_fn=get_ema_multi_avg_fn(0.9))
    program = compiled(saved(average.state_dict(), tmp_path / "ema.pt"))
    assert_loaded(program, state())
    assert said_of(program) == "`module.` removed from names"


@pytest.mark.parametrize("place", ["model_state_dict", "net", "network", "module", "weights", "params", "ema.module"])
def test_weights_under_a_name(place: str, tmp_path: Path) -> None:
    content: Any = state()
    for name in reversed(place.split(".")):
        content = {name: content, "step": 3, "best": torch.tensor(71.5)}
    program = compiled(saved(content, tmp_path / "w.pt"))
    assert_loaded(program, state())
    assert said_of(program) == f"from `{place}`"


def test_weights_under_an_unknown_name(tmp_path: Path) -> None:
    program = compiled(saved({"student": state(), "epoch": 3}, tmp_path / "w.pt"))
    assert_loaded(program, state())
    assert said_of(program) == "from `student`"


@pytest.mark.parametrize("prefix", ["backbone.", "encoder.net.", "module._orig_mod.model.", "a.b.c.d.e."])
def test_any_prefix_is_removed_from_safetensors_too(prefix: str, tmp_path: Path) -> None:
    save_file({f"{prefix}{name}": tensor for name, tensor in state().items()}, tmp_path / "w.safetensors")
    program = compiled(tmp_path / "w.safetensors")
    assert_loaded(program, state())
    shown = "`_orig_mod.` and `module.model.`" if "_orig_mod" in prefix else f"`{prefix}`"
    assert said_of(program) == f"{shown} removed from names"


# ---- formats


@pytest.mark.parametrize("ending", ["pth", "pt", "pth.tar", "bin", "ckpt", "safetensors", "weights"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_the_content_decides_the_format(kind: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"w.{ending}"
    if kind == "safetensors":
        save_file(state(), path)
    else:
        saved(state(), path, _use_new_zipfile_serialization=kind == "zip")
    assert_loaded(compiled(path), state())


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle(protocol: int, legacy: bool, tmp_path: Path) -> None:
    content = {"model": made().state_dict(), "args": argparse.Namespace(a={1, 2}, b=frozenset("c"), d=b"e", f=2**80)}
    path = saved(content, tmp_path / "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    assert_loaded(compiled(path), state())


@pytest.mark.parametrize("legacy", [False, True])
def test_another_byte_order_is_refused(legacy: bool, tmp_path: Path) -> None:
    path = saved(state(), tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    if legacy:
        content = content.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89", 1)
    else:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "b.pth", "w") as other:
            for name in archive.namelist():
                other.writestr(name, b"big" if name.endswith("/byteorder") else archive.read(name))
        content = (tmp_path / "b.pth").read_bytes()
    assert content != path.read_bytes()
    path.write_bytes(content)
    assert "was written on a machine with another byte order" in refused(path, code="E001")


def test_files_without_checksums(tmp_path: Path) -> None:
    set_crc32_options(False)
    try:
        path = saved(state(), tmp_path / "w.pth")
    finally:
        set_crc32_options(True)
    assert_loaded(compiled(path), state())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats(kind: torch.dtype, tmp_path: Path) -> None:
    content = {name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in state().items()}
    program = compiled(saved(content, tmp_path / "w.pth"))
    assert_loaded(
        program, {name: tensor.float() if tensor.dtype == kind else tensor for name, tensor in content.items()}
    )
    floats = sum(tensor.dtype == kind for tensor in content.values())
    assert f"weights: {floats} tensors converted from {str(kind).removeprefix('torch.')}" in program.notes


def test_tensors_that_share_or_transpose_their_values(tmp_path: Path) -> None:
    whole = torch.cat([tensor.flatten() for tensor in state().values() if tensor.dtype == torch.float32])
    content, at = dict(state()), 0
    for name, tensor in state().items():
        if tensor.dtype == torch.float32:
            content[name] = whole[at : at + tensor.numel()].view(tensor.shape)
            at += tensor.numel()
    content["fc.weight"] = content["fc.weight"].t().contiguous().t()
    content["conv1.0.weight"] = content["conv1.0.weight"].to(memory_format=torch.channels_last)
    for legacy in (False, True):
        path = saved(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
        assert_loaded(compiled(path), state())


def test_parameters_and_modules_own_objects_in_a_state_dict(tmp_path: Path) -> None:
    content = collections.OrderedDict(made().state_dict(keep_vars=True))
    content["custom._extra_state"] = {"scale": torch.ones(1)}
    content["nothing"] = None
    assert isinstance(content["fc.weight"], nn.Parameter)
    assert_loaded(compiled(saved(content, tmp_path / "w.pth")), state())


# ---- classes, channels, tweaks


def test_a_last_layer_of_other_classes_is_not_loaded(tmp_path: Path) -> None:
    program = compiled(saved({"model": state(classes=7)}, tmp_path / "w.pth"))
    assert_loaded(program, state(classes=7), len(state()) - 2)
    assert any("`fc.weight` (10×" in note and "7×" in note for note in program.notes)


def test_weights_of_a_backbone_without_a_last_layer(tmp_path: Path) -> None:
    body = {f"backbone.{name}": tensor for name, tensor in state().items() if not name.startswith("fc.")}
    assert_loaded(compiled(saved(body, tmp_path / "w.pth")), state(), len(state()) - 2)


def test_gray_weights_in_a_model_for_rgb(tmp_path: Path) -> None:
    gray = made(in_chans=1).eval()
    program = compiled(saved(gray.state_dict(), tmp_path / "w.pth"))
    assert program.fit
    assert len(program.fit.loaded) == len(state())
    assert said_of(program) == "`conv1.0.weight` for gray images spread over 3 input channels"
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(program.model.eval()(images.repeat(1, 3, 1, 1)), gray(images))


def test_gray_weights_in_a_vision_transformer_for_rgb(tmp_path: Path) -> None:
    name = "vit_tiny_patch16_224"
    gray = timm.create_model(name, in_chans=1, num_classes=10).eval()
    path = saved(gray.state_dict(), tmp_path / "w.pth")
    program = compiled(path, base=f"base timm:{name} classes=10")
    assert said_of(program) == "`patch_embed.proj.weight` for gray images spread over 3 input channels"
    images = torch.rand(1, 1, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(program.model.eval()(images.repeat(1, 3, 1, 1)), gray(images))


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_channels_are_those_of_timm(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    weight = torch.randn(8, 3, 5, 5).to(kind)
    assert torch.equal(with_channels(weight, 1), timm.models.adapt_input_conv(1, weight))
    assert with_channels(weight, 3) is weight
    gray = with_channels(weight, 1)
    torch.testing.assert_close(timm.models.adapt_input_conv(1, with_channels(gray, 3)), gray)
    with pytest.raises(ValueError, match="no convolution of 3 channels can stand for one of 4"):
        with_channels(weight, 4)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_refused(channels: int, tmp_path: Path) -> None:
    said = refused(saved(made(in_chans=channels).state_dict(), tmp_path / "w.pth"))
    assert f"`conv1.0.weight` in `{tmp_path}/w.pth` takes {channels} channels, but that of the model takes 3" in said


def test_what_a_tweak_made_is_loaded(tmp_path: Path) -> None:
    text = "base resnet18 classes=10; tweak C se"
    trained = recipe.compile(f"{text}; seed 9").model.state_dict()
    content = {f"module.{name}": tensor for name, tensor in trained.items()}
    assert_loaded(compiled(saved({"state_dict": content}, tmp_path / "w.pth"), base=text), trained)


# ---- what does not fit


def test_weights_of_another_model_are_refused_with_counts(tmp_path: Path) -> None:
    renamed = {name.replace("layer2", "stage2").replace("layer3", "stage3"): t for name, t in state().items()}
    path = saved({"model": renamed}, tmp_path / "w.pth")
    said = refused(path)
    assert "only " in said
    assert "; 90% are needed), not counting the last layer" in said
    assert "or set `least=" in said
    program = compiled(path, "least=10%")
    assert program.fit
    assert 0 < len(program.fit.loaded) < len(state())
    assert refused(path, "least=99%").count("99% are needed") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a.weight": torch.zeros(2)}, "none of the tensors in .*w.pth` match"),
        ({name: tensor.to(torch.int8) for name, tensor in state().items()}, "none of the tensors|only .* of the"),
        ({name: tensor[None] for name, tensor in state().items()}, "none of the tensors in .*w.pth` match"),
        (
            {f"{part}.{name}": tensor for part in ("query", "key") for name, tensor in state().items()},
            "has weights of several models, whose names begin with `key.` and `query.`|`query.` and `key.`",
        ),
        (dict([*state().items()][:20]), r"only \d+ of the \d+ parameters of"),
    ],
    ids=range(5),
)
def test_what_does_not_fit_is_refused(content: State, said: str, tmp_path: Path) -> None:
    assert re.search(said, refused(saved(content, tmp_path / "w.pth")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            made(),
            "is a pickled `timm.models.resnet.ResNet` object, not a state dict; load it in Python, and save",
        ),
        (
            {"model": made(), "ema": None},
            "has a pickled `timm.models.resnet.ResNet` object as `model`, not a state dict",
        ),
        ({"teacher": state(), "student": state()}, "has several state dicts: `student`, `teacher`"),
        ([*state().values()], "contains no tensors by name"),
        ({"epoch": 3, "model": {}}, "contains no tensors by name"),
        (torch.zeros(3), "contains no tensors by name"),
    ],
    ids=range(6),
)
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("legacy", [False, True])
def test_files_without_a_state_dict_are_refused(content: Any, said: str, legacy: bool, tmp_path: Path) -> None:
    path = saved(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    assert said in refused(path, code="E001")


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:  # what torch.jit.save writes, in part
        archive.writestr("w/data.pkl", b"")
        archive.writestr("w/constants.pkl", b"")
        archive.writestr("w/code/__torch__.py", b"")
    said = refused(tmp_path / "w.pt", code="E001")
    assert "is a TorchScript program" in said
    assert "torch.jit.load" in said
