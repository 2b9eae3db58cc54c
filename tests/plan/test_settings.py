"""Settings of the training: declarations decide which trick sets a value last, never chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given

from recipe.api import Training, Trick, trick
from recipe.plugins.settings import KINDS
from tests.helpers import bind, diagnostics, errors, vocabulary_with
from tests.strategies import dialects, meaningful


def setter(word: str, change: Callable[[Training], dict[str, Any]], **declared: tuple[str, ...]) -> type[Trick]:
    """Return a trick that makes settings."""

    @trick(word, **declared)  # type: ignore[arg-type]
    class Setter(Trick):
        """Make settings of the training."""

        def configure(self, training: Training) -> dict[str, Any]:
            return change(training)

    return Setter


def bf16(training: Training) -> dict[str, Any]:
    return {"precision": "bf16"}


def doubled(training: Training) -> dict[str, Any]:
    return {"batch": training.batch * 2}


@pytest.mark.parametrize("stated", ["precision fp32", "precision fp16", "precision bf16"])
def test_two_tricks_that_make_the_same_setting_clash_whatever_the_value(stated: str) -> None:
    words = vocabulary_with(setter("turbo", bf16))
    (error,) = diagnostics(f"base resnet18; {stated}; turbo", words=words)
    package = words.packages(("turbo", None))[0]
    assert error.code == "E030"
    assert error.message == (
        "`precision` and `turbo` conflict: both set the training setting `precision` "
        f"(`precision` from recipe-compiler, `turbo` from {package})"
    )
    assert error.span is not None
    assert [span.text for span, _ in error.others] + [error.span.text] == ["precision", "turbo"]
    assert 'after=("precision",)' in error.help


def test_a_setting_of_every_recipe_conflicts_without_a_statement() -> None:
    (error,) = diagnostics("base resnet18; turbo", words=vocabulary_with(setter("turbo", bf16)))
    assert (error.code, error.others) == ("E030", ())
    assert error.span is not None
    assert error.span.text == "turbo"


def test_all_settings_that_two_tricks_make_are_reported_at_once() -> None:
    words = vocabulary_with(setter("turbo", lambda training: bf16(training) | doubled(training)))
    found = diagnostics("base resnet18; turbo", words=words)
    assert [error.message.partition(" (")[0] for error in found] == [
        "`batch` and `turbo` conflict: both set the training setting `batch`",
        "`precision` and `turbo` conflict: both set the training setting `precision`",
    ]


@pytest.mark.parametrize(
    ("declared", "text", "batch", "rate"),
    [
        ({"after": ("batch",)}, "batch 256", 512, 0.1),
        ({"after": ("batch",), "writes": ("batch",)}, "batch 256; lr 0.1 per 256", 512, 0.2),
    ],
)
def test_a_trick_that_declares_to_come_after_another_overrides_it(
    declared: dict[str, tuple[str, ...]], text: str, batch: int, rate: float
) -> None:
    """Tricks that read the batch, such as linear scaling, come after all tricks that write its slot."""
    plan = bind(f"base resnet18; {text}; turbo", words=vocabulary_with(setter("turbo", doubled, **declared)))
    assert (plan.training.batch, plan.training.rate) == (batch, pytest.approx(rate))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"after": ("batch",)}, {"after": ("one",)}),  # through the other trick
        ({"after": ("batch",), "writes": ("mix",)}, {"after": ("batch",), "reads": ("mix",)}),  # through a slot
    ],
)
def test_the_order_may_be_declared_through_other_tricks_and_slots(
    first: dict[str, tuple[str, ...]], second: dict[str, tuple[str, ...]]
) -> None:
    words = vocabulary_with(setter("one", doubled, **first), setter("two", doubled, **second))
    assert bind("base resnet18; batch 8; two; one", words=words).training.batch == 32


def test_two_tricks_after_the_same_trick_are_not_ordered() -> None:
    words = vocabulary_with(*(setter(word, doubled, after=("batch",)) for word in ("one", "two")))
    assert errors("base resnet18; one; two", words=words) == ["E030"]


def test_a_trick_that_replaces_another_needs_no_order() -> None:
    words = vocabulary_with(setter("turbo", bf16, writes=("dtype",)))
    assert bind("base resnet18; turbo", words=words).training.precision == "bf16"


def test_a_trick_is_called_once_with_the_settings_of_those_before_it() -> None:
    asked = []

    def change(training: Training) -> dict[str, Any]:
        asked.append(training.batch)
        return {"warmup": {256: 1.0}[training.batch]}

    words = vocabulary_with(setter("turbo", change, after=("batch",)))
    assert bind("base resnet18; batch 256; turbo", words=words).training.warmup == 1.0
    assert asked == [256]
    assert errors("base resnet18; batch 8; turbo", words=words) == ["E080"]


BATCH = "of at least 1 and of at most 1,000,000"


@pytest.mark.parametrize("made", [{}, {"micro": None}, {"warmup": 5}, {"compile_mode": "default"}])
def test_a_trick_sets_what_it_returns_and_nothing_else(made: dict[str, Any]) -> None:
    plan = bind("base resnet18; turbo", words=vocabulary_with(setter("turbo", lambda _: made)))
    assert plan.training == attrs.evolve(bind("base resnet18").training, **made)


@pytest.mark.parametrize(
    ("made", "said", "help"),
    [
        ({"bach": 8}, "unknown setting `bach`", "did you mean `batch`?"),
        ({"zzz": 8}, "unknown setting `zzz`", "the settings are `aux_weight`, "),
        ({7: 8}, "unknown setting `7`", "the settings are "),
        *(
            ({"batch": value}, f"the setting `batch` must be a whole number {BATCH}, not {value!r}", "")
            for value in (8.5, True, None, 0, -1, 10**7, "lots")
        ),
        ({"micro": "8"}, "the setting `micro` must be a whole number of at least 1 or None, not '8'", ""),
        ({"micro": 0}, "the setting `micro` must be a whole number of at least 1 or None, not 0", ""),
        (
            {"epochs": -3},
            "the setting `epochs` must be a whole number of at least 1 and of at most 100,000, not -3",
            "",
        ),
        (
            {"seed": -1},
            "the setting `seed` must be a whole number of at least 0 and of at most 2,147,483,647, not -1",
            "",
        ),
        *(
            ({name: value}, f"the setting `{name}` must be a number of at least 0, not {value!r}", "")
            for name in ("rate", "weight_decay", "aux_weight")
            for value in ("high", float("nan"), float("inf"), -0.1)
        ),
        ({"warmup": -1}, "the setting `warmup` must be a number of at least 0 and of at most 100,000, not -1", ""),
        ({"channels_last": 1}, "the setting `channels_last` must be True or False, not 1", ""),
        ({"precision": None}, "the setting `precision` must be one of 'fp32', 'fp16', 'bf16', not None", ""),
        ({"precision": "fp8"}, "the setting `precision` must be one of 'fp32', 'fp16', 'bf16', not 'fp8'", ""),
        (
            {"compile_mode": "fast"},
            "the setting `compile_mode` must be one of 'default', 'reduce-overhead', 'max-autotune', "
            "'max-autotune-no-cudagraphs' or None, not 'fast'",
            "",
        ),
    ],
)
def test_an_invalid_setting_is_an_error_in_the_trick(made: dict[Any, Any], said: str, help: str) -> None:
    words = vocabulary_with(setter("turbo", lambda _: made, after=("batch", "lr", "precision", "layout")))
    (error,) = diagnostics("base resnet18; turbo", words=words)
    package = words.packages(("turbo", None))[0]
    assert error.code == "E080"
    assert error.message.startswith(f"`turbo` from {package} is broken: configure: ")
    assert error.message.endswith(said)
    assert error.help.startswith(help)
    assert error.span is not None
    assert error.span.text == "turbo"


def test_every_setting_accepts_its_default() -> None:
    assert [*KINDS] == [field.name for field in attrs.fields(Training)]
    assert all(KINDS[name].holds(value) for name, value in attrs.asdict(Training()).items())


@given(meaningful(), dialects)
def test_no_two_built_in_tricks_clash_over_a_setting(statements: list[str], dialect: str) -> None:
    assert errors("\n".join([f"dialect {dialect}", *statements])) == []
