"""The precision that a device runs in, and how a substitution is reported or refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import recipe
from recipe.base.errors import RecipeError
from recipe.cli import doctor
from recipe.devices.choice import pick
from recipe.devices.precision import BF16, WAYS, cpu_bf16, precision
from tests.helpers import command
from tests.training.helpers import TINY, train

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "bf16", "runs"),
    [
        ("fp32", "fast", "fp32"), ("fp32", "slow", "fp32"), ("fp32", "none", "fp32"),
        ("bf16", "fast", "bf16"), ("bf16", "slow", "bf16"), ("bf16", "none", "fp32"),
        ("fp16", "fast", "bf16"), ("fp16", "slow", "fp32"), ("fp16", "none", "fp32"),
    ],
)  # fmt: skip
def test_a_cpu_uses_the_fastest_precision_it_has(
    monkeypatch: pytest.MonkeyPatch, asked: str, bf16: str, runs: str
) -> None:
    monkeypatch.setenv(BF16, bf16)
    found = precision(asked, CPU)
    assert found.name == runs
    assert not found.scaled
    assert bool(found.note) == (asked != runs)
    if asked != runs:
        assert found.note.startswith(f"precision {asked} runs as {runs}: ")
        with pytest.raises(RecipeError, match="E110"):
            precision(asked, CPU, strict=True)
    else:
        assert precision(asked, CPU, strict=True).note == ""


@pytest.mark.parametrize(
    ("asked", "has_bf16", "runs", "scaled"),
    [
        ("fp32", True, "fp32", False), ("bf16", True, "bf16", False), ("fp16", True, "fp16", True),
        ("fp32", False, "fp32", False), ("bf16", False, "fp16", True), ("fp16", False, "fp16", True),
    ],
)  # fmt: skip
def test_a_gpu_scales_the_loss_in_fp16(
    monkeypatch: pytest.MonkeyPatch, asked: str, has_bf16: bool, runs: str, scaled: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    found = precision(asked, torch.device("cuda"))
    assert (found.name, found.scaled) == (runs, scaled)
    assert bool(found.note) == (asked != runs)


@pytest.mark.parametrize(
    ("found", "way"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "fast"),
        ({"amx_bf16": False, "avx512_bf16": True}, "slow"),
        ({"amx_bf16": False, "avx512_bf16": False, "avx2": True}, "none"),
        ({"arm_bf16": True}, "fast"),
        ({"architecture": "arm64", "bf16": False}, "none"),
    ],
)
def test_the_bf16_support_that_a_cpu_reports(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, object], way: str
) -> None:
    monkeypatch.delenv(BF16, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert cpu_bf16() == way


@pytest.mark.parametrize(("amx", "avx", "way"), [(True, True, "fast"), (False, True, "slow"), (False, False, "none")])
def test_the_bf16_support_that_a_cpu_reports_to_an_older_torch(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx: bool, way: str
) -> None:
    monkeypatch.delenv(BF16, raising=False)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    assert cpu_bf16() == way


def test_the_override_of_bf16_support_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BF16, "amx")
    with pytest.raises(RecipeError, match=r"E110.*invalid value `amx` for `RECIPE_CPU_BF16`"):
        precision("bf16", CPU)


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("none", ["fp32", "precision bf16 runs as fp32", "precision fp16 runs as fp32"]),
        ("slow", ["fp32", "bf16", "precision fp16 runs as fp32"]),
        ("fast", ["fp32", "bf16", "precision fp16 runs as bf16"]),
    ],
)
def test_doctor_shows_substituted_precisions(monkeypatch: pytest.MonkeyPatch, way: str, told: list[str]) -> None:
    assert way in WAYS
    monkeypatch.setenv(BF16, way)
    monkeypatch.setattr(doctor, "_speed", lambda device, dtype, layout: 1.0)
    found = command("doctor")
    assert found.status == 0, found.stderr
    lines = found.stdout.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("cpu:"))
    assert lines[at].endswith(f"(RECIPE_CPU_BF16 is {way})")
    assert [line.strip().partition(":")[0] for line in lines[at + 1 : at + 4]] == told


@pytest.mark.parametrize(
    ("way", "asked", "runs"),
    [("none", "bf16", "fp32"), ("slow", "bf16", "bf16"), ("slow", "fp16", "fp32"), ("fast", "fp16", "bf16")],
)
def test_a_run_and_its_teacher_use_a_precision_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, asked: str, runs: str
) -> None:
    monkeypatch.setenv(BF16, way)
    teacher = tmp_path / "teacher.recipe"
    teacher.write_text(f"{TINY}; epochs 1; precision {asked}".replace("epochs 2; ", ""))
    run = train(tmp_path / "run", f'epochs 1; precision {asked}; loss distill "{teacher}"')
    (taught,) = tmp_path.glob("teacher-*")
    for summary in (run.summary, json.loads((taught / "summary.json").read_text())):
        assert summary["precision"] == runs
        told = [note for note in summary["notes"] if note.startswith(f"precision {asked} runs as {runs}: ")]
        assert len(told) == (asked != runs)


@pytest.mark.parametrize("name", ["cuda:99", "nonsense", "meta"])
def test_an_unavailable_device_is_rejected(name: str) -> None:
    with pytest.raises(RecipeError, match="E110"):
        pick(name)


@pytest.mark.parametrize(
    ("name", "count", "rank", "expected"),
    [(None, 1, None, "cuda:0"), ("cuda", 1, None, "cuda:0"), ("cuda", 4, "2", "cuda:2"), ("cuda:1", 2, None, "cuda:1")],
)
def test_a_cuda_device_has_its_index(
    name: str | None, count: int, rank: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch can make a device the current one only by its index."""
    made_current: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "empty", lambda *sizes, device: None)
    monkeypatch.setattr(torch.cuda, "set_device", lambda d: made_current.append(torch.cuda._utils._get_device_index(d)))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert str(pick(name)) == expected
    assert made_current == [int(expected[-1])]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fp16_on_cuda_keeps_fp32_weights_and_scales_the_loss(tmp_path) -> None:
    import recipe

    run = recipe.run("base resnet18; precision fp16; epochs 1", out=tmp_path / "run", device="cuda", strict=True)
    assert run.summary["precision"] == "fp16"
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}
    state = torch.load(sorted((run.folder / "checkpoints").iterdir())[-1], weights_only=True)
    assert state["scaler"]["scale"] > 1


def poisoned() -> None:
    """Fill memory of many sizes with large values, and free it."""
    held = [
        torch.full((1 << bits,), 1e30, dtype=kind) for bits in range(6, 20) for kind in (torch.bfloat16, torch.float32)
    ]
    del held


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_a_cpu_computes_bf16_gradients_unless_a_stride_is_larger_than_its_input(side: int, depthwise: bool) -> None:
    for kernel, stride, layout in itertools.product((3, 5, 7), range(1, side + 1), (None, torch.channels_last)):
        conv = nn.Conv2d(16, 16, kernel, stride, kernel // 2, bias=False, groups=16 if depthwise else 1)
        inputs, gradients = torch.randn(8, 16, side, side), []
        if layout:
            conv, inputs = conv.to(memory_format=layout), inputs.contiguous(memory_format=layout)
        for enabled in (False, True):
            conv.zero_grad()
            poisoned()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                outputs = conv(inputs)
            outputs.float().backward(torch.linspace(-1, 1, outputs.numel()).view(outputs.shape))
            gradients.append(conv.weight.grad.clone())  # type: ignore[union-attr]
        assert torch.allclose(*gradients, atol=0.05 * float(gradients[0].abs().max())), (kernel, stride, layout)


NARROW = "base resnet18; data fake size=32 classes=4 images=8; batch 4; lr 0.01"


@pytest.mark.parametrize(
    ("words", "narrow"),
    [
        ("", ""),
        ("resize 0.5", "layer4.0.conv1"),
        ("data fake size=16 classes=4 images=8", "layer4.0.conv1"),
        ("tweak B; resize 0.5", "layer4.0.conv1"),
        ("tweak C; data fake size=64 classes=4 images=8; resize 0.5", ""),
    ],
)
def test_a_model_with_such_a_convolution_is_trained_in_fp32(
    words: str, narrow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BF16, "fast")
    program = recipe.compile(NARROW, *filter(None, words.split("; ")), "precision bf16", device="meta")
    assert program.narrow == narrow
    chosen = precision("bf16", torch.device("cpu"))
    assert chosen.suited(program.narrow).name == ("fp32" if narrow else "bf16")
    if narrow:
        with pytest.raises(RecipeError, match=rf"E110.*gradient of `{narrow}`, whose stride is larger than its input"):
            chosen.suited(program.narrow, strict=True)
        assert precision("fp32", torch.device("cpu")).suited(narrow, strict=True).note == ""
        note = "precision bf16 runs as fp32: on CPUs, torch's bf16 gradient of"
        assert note in command("explain", NARROW, words, "precision bf16", "--device", "cpu").stdout


class Functional(nn.Module):
    """A model that calls a convolution as a function, in a layer of its own class."""

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8, 8, 3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.conv2d(x, self.weight, stride=2, padding=1)

    def __init__(self, side: int) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(side)
        self.body, self.fc = self.Layer(), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(self.pool(self.stem(x))).mean((2, 3)))


@pytest.mark.parametrize("side", [1, 2])
def test_a_convolution_that_is_called_as_a_function_is_found_too(side: int) -> None:
    program = recipe.compile(NARROW.replace("base resnet18; ", ""), base=Functional(side))
    assert program.narrow == ("conv2d" if side == 1 else "")
