"""The device of a run: a name that can't be used is one plain error."""

from __future__ import annotations

import pytest
import torch

from recipe.base.errors import RecipeError
from recipe.devices.choice import pick


@pytest.mark.parametrize(
    "name",
    ["", "cpu:7", "CPU", "cpu ", "mps", "meta", "xla", "privateuseone", "nonsense", "cuda:x", "cuda:-1", "cuda:٣"],
)
def test_names_of_no_device_for_training(name: str) -> None:
    with pytest.raises(RecipeError) as caught:
        pick(name)
    (error,) = caught.value.diagnostics
    assert (error.code, error.message) == (
        "E110",
        f"recipes can train only on `cpu` and `cuda` devices, not on `{name}`",
    )
    assert error.help.startswith("use `cpu`, `cuda`, or a number such as `cuda:1`")


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (0, "no CUDA device found"),
        (1, "this machine has 1 CUDA device, and the first is `cuda:0`"),
        (8, "this machine has 8 CUDA devices, and the first is `cuda:0`"),
    ],
)
def test_a_device_that_the_machine_lacks(there: int, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    with pytest.raises(RecipeError) as caught:
        pick("cuda:99")
    (error,) = caught.value.diagnostics
    assert (error.code, error.message) == ("E110", f"the device `cuda:99` is unavailable: {reason}")


def test_the_cpu() -> None:
    assert pick("cpu") == torch.device("cpu")
