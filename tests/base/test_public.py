"""Arguments of the public functions are checked, one thread at a time is in one, and they ignore the caller's modes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

import recipe
from recipe.base.public import fits
from recipe.base.torch_modes import plain_torch
from recipe.base.turns import turn
from recipe.devices.precision import precision
from tests.training.helpers import TINY

# ---- arguments


@pytest.mark.parametrize(
    ("value", "hint", "right"),
    [
        (True, bool, True),
        (1, bool, False),
        (1, int, True),
        (True, int, False),
        (1.0, int, False),
        (None, int | None, True),
        ("a", Sequence[str], False),
        (["a"], Sequence[str], True),
        (["a", 1], Sequence[str], False),
        (("a", "b"), tuple[str, str], True),
        (("a",), tuple[str, str], False),
        ("ab", tuple[str, str], False),
        ({"a": "b"}, Mapping[str, str], True),
        ({"a": 1}, Mapping[str, str], False),
        (Path("a"), str | Path, True),
        (b"a", str | Path, False),
    ],
)
def test_a_value_fits_a_type(value: object, hint: Any, right: bool) -> None:
    assert fits(value, hint) is right


PLUGINS = "`plugins` of `recipe.{}` must be a `Vocabulary` or a list, each of its items text or a path, not "

WRONG: list[tuple[Callable[..., object], tuple[object, ...], dict[str, object], str]] = [
    (
        recipe.compile,
        (None,),
        {},
        "`recipe` of `recipe.compile` must be text, a path, a `Source`, a `Plan` or a `Program`, not",
    ),
    (recipe.compile, (TINY, 3), {}, "statements are text, not 3"),
    (recipe.compile, (TINY, {"epochs": 3}), {}, "statements are text, not {'epochs': 3}"),
    (recipe.compile, (TINY,), {"plugins": "a.py"}, PLUGINS.format("compile") + "'a.py'"),
    (recipe.compile, (TINY,), {"plugins": [3]}, PLUGINS.format("compile") + "[3]"),
    (
        recipe.compile,
        (TINY,),
        {"base": "resnet18"},
        "`base` of `recipe.compile` must be a `torch.nn.Module` or",
    ),
    (recipe.compile, (TINY,), {"size": 32.0}, "`size` of `recipe.compile` must be a whole number or None, not 32.0"),
    (recipe.run, (TINY,), {"strict": "no"}, "`strict` of `recipe.run` must be True or False, not 'no'"),
    (recipe.run, (TINY,), {"resume": True, "allow_changed": "no"}, "`allow_changed` of `recipe.run` must be True or"),
    (
        recipe.run,
        (TINY,),
        {"listener": print},
        "`listener` of `recipe.run` must be a `Listener` or None, not <bui",
    ),
    (recipe.run, (TINY,), {"plugins": 3}, PLUGINS.format("run") + "3"),
    (recipe.run, (TINY,), {"runtime": 3}, "`runtime` of `recipe.run` must be a `Runtime` or None, not 3"),
    (recipe.run, (TINY,), {"seed": 3}, "`recipe.run` got an unexpected keyword argument 'seed'"),
    (recipe.diff, (None, TINY), {}, "`a` of `recipe.diff` must be text, a path, a `Source`, a `Plan` or a `Program`"),
    (recipe.diff, (TINY, TINY), {"names": ("a",)}, "`names` of `recipe.diff` must be a tuple of 2 items: text, text"),
    (
        recipe.ablate,
        (TINY,),
        {"mode": "drop", "budget": 20},
        "`budget` of `recipe.ablate` must be text or None, not",
    ),
    (recipe.ablate, (TINY,), {"mode": "drop", "plugins": "a.py"}, PLUGINS.format("ablate") + "'a.py'"),
    (recipe.ablate, (TINY,), {"mode": "drop", "seeds": 1.5}, "`seeds` of `recipe.ablate` must be a whole number or"),
    (recipe.export, (3,), {"to": "onnx"}, "`run` of `recipe.export` must be text, a path or a `Run`, not 3"),
    (recipe.batches, (TINY,), {}, "`program` of `recipe.batches` must be a `Program`, not 'base"),
    (recipe.Vocabulary.installed, ("a.py",), {}, "`plugins` of `recipe.Vocabulary.installed` must be a list"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "said"), WRONG, ids=[wrong[-1] for wrong in WRONG])
def test_an_argument_of_another_type_is_named(
    function: Callable[..., object],
    arguments: tuple[object, ...],
    options: dict[str, object],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError) as raised:
        function(*arguments, **options)
    assert str(raised.value).startswith(said)
    assert not [*tmp_path.iterdir()]


# ---- threads


def test_threads_take_turns(tmp_path: Path) -> None:
    process = sys.stdout, os._exit, torch.get_rng_state(), torch.backends.cudnn.deterministic
    results: dict[str, str] = {}

    def train(name: str) -> str:
        run = recipe.run(TINY, "epochs 1", out=tmp_path / name, device="cpu")
        return str(run.summary["weights_sha256"])

    def report(name: str) -> None:
        try:
            results[name] = train(name)
        except BaseException as error:
            results[name] = repr(error)

    alone = train("alone")
    threads = [threading.Thread(target=report, args=(f"{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys("012", alone)
    assert (sys.stdout, os._exit) == process[:2]
    assert torch.equal(torch.get_rng_state(), process[2])
    assert torch.backends.cudnn.deterministic == process[3]


def test_threads_share_the_model_of_a_program() -> None:
    program, models = recipe.compile(TINY), list[object]()
    threads = [threading.Thread(target=lambda: models.append(program.model)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [model is program.model for model in models] == [True] * 3


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    has_turn, done = threading.Event(), threading.Event()

    def hold() -> None:
        with turn():
            has_turn.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    has_turn.wait(60)
    assert not turn().acquire(blocking=False)  # type: ignore[attr-defined]
    if not (child := os.fork()):
        os._exit(0 if turn().acquire(blocking=False) else 1)  # type: ignore[attr-defined]
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


# ---- modes of torch


class Default(AbstractContextManager[None]):
    """A context with another default dtype or device."""

    def __init__(self, change: Callable[[Any], None], value: Any, before: Any) -> None:
        self.change, self.value, self.before = change, value, before

    def __enter__(self) -> None:
        self.change(self.value)

    def __exit__(self, *_: object) -> None:
        self.change(self.before)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "dtype": lambda: Default(torch.set_default_dtype, torch.float64, torch.float32),
    "device": lambda: torch.device("meta"),
    "default device": lambda: Default(torch.set_default_device, "meta", None),
}


def state() -> tuple[object, ...]:
    return (
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device().type,
    )


@pytest.mark.parametrize("mode", MODES)
def test_modes_are_set_aside_and_restored(mode: str) -> None:
    plain = state()
    with MODES[mode]():
        before = state()
        assert before != plain
        with plain_torch():
            assert state() == plain
        assert state() == before
    assert state() == plain


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> recipe.Run:
    return recipe.run(TINY, "epochs 1", out=tmp_path_factory.mktemp("plain") / "run", device="cpu")


@pytest.mark.parametrize("mode", MODES)
def test_a_run_does_not_depend_on_modes(mode: str, done: recipe.Run, tmp_path: Path) -> None:
    with MODES[mode]():
        run = recipe.run(TINY, "epochs 1", out=tmp_path / "run", device="cpu")
        exported = recipe.export(done.folder, to="python", out=tmp_path / "model.py")
        weight = next(recipe.compile(TINY).model.parameters())
    for name in ("weights_sha256", "loss", "top1"):
        assert run.summary[name] == done.summary[name]
    assert exported.difference == 0.0
    assert (weight.dtype, weight.device.type, weight.is_inference()) == (torch.float32, "cpu", False)


def test_fp32_is_in_force_within_autocast() -> None:
    layer, inputs = torch.nn.Linear(4, 4), torch.ones(1, 4)
    with torch.autocast("cpu", torch.bfloat16), precision("fp32", torch.device("cpu")).autocast():
        assert layer(inputs).dtype is torch.float32


def test_a_path_to_write_has_no_null_character() -> None:
    text = "base timm:test_resnet; data fake size=32 classes=10 images=8"
    with pytest.raises(ValueError, match=r"`out` of `recipe.run` must be a path, which has no null character"):
        recipe.run(text, out="a\0", device="cpu")
    with pytest.raises(ValueError, match=r"`out` of `recipe.ablate` must be a path"):
        recipe.ablate(text, mode="stack", out=Path("a\0"))


@pytest.mark.parametrize("width", ["x", True, 0, -5, 1.5])
def test_the_width_of_a_difference_is_a_whole_number(width: Any) -> None:
    with pytest.raises(ValueError, match="`width` must be a whole number of at least 1, not"):
        recipe.diff("base resnet18", "base resnet18; epochs 3").to_text(width=width)
