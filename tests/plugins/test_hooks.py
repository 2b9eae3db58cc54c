"""Hooks are declared on their stubs in `Trick`, which all else follows, including the table in the documentation.

`python -m tests.plugins.test_hooks` rewrites that table.
"""

from __future__ import annotations

import inspect
from numbers import Real

import pytest

from recipe.api import number, trick
from recipe.plugins.hooks import Hook, hooks_of, is_a
from recipe.plugins.slots import COMBINED, EXCLUSIVE
from recipe.plugins.trick import HOOKS, Trick
from recipe.testing.inputs import ARGUMENTS
from recipe.testing.rules.hooks import DEVICE_HOOKS, TRIALS
from tests.helpers import ROOT

PAGE = ROOT / "docs" / "reference" / "plugins.md"
HEAD = ("| hook | when | description | slot to write |", "|---|---|---|---|")
MARK = "<!-- hooks -->\n"


def row(name: str) -> str:
    """Return the table row of a hook: its call, when it is called, its docstring, and its slots."""
    arguments = [*inspect.signature(getattr(Trick, name)).parameters][1:]
    text = " ".join((inspect.getdoc(getattr(Trick, name)) or "").split()).replace("``", "`")
    *slots, last = [f"`{slot}`" for slot in HOOKS[name].slots] or [""]
    writes = f"{', '.join(slots)} or {last}" if slots else last
    return f"| `{name}({', '.join(arguments)})` | {HOOKS[name].when} | {text} | {writes} |".replace("|  |", "| |")


def table() -> str:
    return "".join(f"{line}\n" for line in (*HEAD, *map(row, HOOKS)))


def parts() -> tuple[str, str, str]:
    """Split the documentation into the text before the table, the table, and the text after it."""
    before, mark, rest = PAGE.read_text("utf-8").partition(MARK)
    found, gap, after = rest.partition("\n\n")
    return before + mark, f"{found}\n", gap[1:] + after


def test_the_documented_table_matches_the_declarations() -> None:
    assert parts()[1] == table(), "run `python -m tests.plugins.test_hooks`"


def test_every_method_that_a_trick_may_override_is_declared() -> None:
    methods = {name for name, value in vars(Trick).items() if inspect.isfunction(value) and name[0] != "_"}
    assert {*HOOKS} == methods - {"overrides"}


def test_hooks_are_in_the_order_of_their_calls() -> None:
    when = [hook.when for hook in HOOKS.values()]
    order = ["plan", "compile", "train", "each", "export"]
    assert sorted(when, key=lambda text: order.index(text.split()[0])) == when


def test_slots_of_hooks_exist() -> None:
    assert {slot for hook in HOOKS.values() for slot in hook.slots} <= {*EXCLUSIVE, *COMBINED}


def test_a_stub_declares_a_hook_completely() -> None:
    class More(Trick):
        @Hook(when="each step", gives="a number", check=is_a(Real), slots=("lr",))
        def momentum(self, step: int) -> float:
            """Return the momentum of a step."""
            return 0.9

        def helper(self) -> None: ...

    (declared,) = hooks_of(More).values()
    assert (*hooks_of(More), declared.when, declared.slots, declared.code) == ("momentum", "each step", ("lr",), "E080")
    assert declared.check(0.5)
    assert not declared.check("half")
    assert More().momentum(0) == 0.9


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("judge", "loss"),
        ("penalise", "loss_term"),
        ("soften", "smooth_targets"),
        ("box", "crop_box"),
        ("factor", "lr_factor"),
        ("group", "param_options"),
        ("weight_shapes", "meta_weights"),
    ],
)
def test_the_old_name_of_a_hook_is_rejected(old: str, new: str) -> None:
    members = {"__doc__": "Do something.", old: lambda self, *arguments: None}
    with pytest.raises(TypeError, match=f"^trick `mine`: `{old}` is now called `{new}`$"):
        trick("mine")(type("Mine", (Trick,), members))


def test_a_field_may_have_the_old_name_of_a_hook() -> None:
    @trick("mine")
    class Mine(Trick):
        """Do something."""

        factor: float = number(1.0, "how much")

    assert Mine().factor == 1.0


def test_the_kit_tries_exactly_the_hooks_of_a_step() -> None:
    stepping = {name for name, hook in HOOKS.items() if hook.when in ("each step", "each batch", "each epoch")}
    assert {*ARGUMENTS} == {*TRIALS} == stepping
    assert {*DEVICE_HOOKS} == stepping - {"lr_factor", "epoch_order", "crop_box", "resolution", "frozen"}, (
        "these hooks take no tensors"
    )


if __name__ == "__main__":
    before, _, after = parts()
    PAGE.write_text(before + table() + after, "utf-8")
