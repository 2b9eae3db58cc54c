"""Settings of the training: which trick has the last word is declared, never chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given

from recipe.api import Training, Trick, trick
from recipe.plan.configure import OTHER
from tests.helpers import bind, diagnostics, errors, vocabulary_with
from tests.strategies import dialects, meaningful


def setter(word: str, change: Callable[[Training], dict[str, Any]], **declared: tuple[str, ...]) -> type[Trick]:
    """A trick that changes settings."""

    @trick(word, **declared)  # type: ignore[arg-type]
    class Setter(Trick):
        """Change settings of the training."""

        def configure(self, training: Training) -> Training:
            return attrs.evolve(training, **change(training))

    return Setter


def bf16(training: Training) -> dict[str, Any]:
    return {"precision": "bf16"}


def doubled(training: Training) -> dict[str, Any]:
    return {"batch": training.batch * 2}


@pytest.mark.parametrize("stated", ["precision fp32", "precision fp16", "precision bf16"])
def test_two_that_set_the_same_are_an_error_whatever_they_set_it_to(stated: str) -> None:
    words = vocabulary_with(setter("turbo", bf16))
    (error,) = diagnostics(f"base resnet18; {stated}; turbo", words=words)
    package = words.packages(("turbo", None))[0]
    assert error.code == "E030"
    assert error.message == (
        "`precision` and `turbo` clash: both set `precision` of the training "
        f"(`precision` is of recipe-compiler, `turbo` of {package})"
    )
    assert error.span is not None
    assert [span.text for span, _ in error.others] + [error.span.text] == ["precision", "turbo"]
    assert 'after=("precision",)' in error.help


def test_what_every_recipe_sets_is_set_also_where_none_says_so() -> None:
    (error,) = diagnostics("base resnet18; turbo", words=vocabulary_with(setter("turbo", bf16)))
    assert (error.code, error.others) == ("E030", ())
    assert error.span is not None
    assert error.span.text == "turbo"


def test_all_that_two_set_both_is_told_at_once() -> None:
    words = vocabulary_with(setter("turbo", lambda training: bf16(training) | doubled(training)))
    found = diagnostics("base resnet18; turbo", words=words)
    assert [error.message.partition(" of the")[0] for error in found] == [
        "`batch` and `turbo` clash: both set `batch`",
        "`precision` and `turbo` clash: both set `precision`",
    ]


@pytest.mark.parametrize(
    ("declared", "text", "batch", "rate"),
    [
        ({"after": ("batch",)}, "batch 256", 512, 0.1),
        ({"after": ("batch",), "writes": ("batch",)}, "batch 256; lr 0.1 per 256", 512, 0.2),
    ],
)
def test_who_declares_to_come_after_has_the_last_word(
    declared: dict[str, tuple[str, ...]], text: str, batch: int, rate: float
) -> None:
    """What goes by the batch, as linear scaling does, comes after all that write its slot."""
    plan = bind(f"base resnet18; {text}; turbo", words=vocabulary_with(setter("turbo", doubled, **declared)))
    assert (plan.training.batch, plan.training.rate) == (batch, pytest.approx(rate))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"after": ("batch",)}, {"after": ("one",)}),  # through the other
        ({"after": ("batch",), "writes": ("mix",)}, {"after": ("batch",), "reads": ("mix",)}),  # by a slot
    ],
)
def test_the_order_may_be_declared_through_others_and_by_slots(
    first: dict[str, tuple[str, ...]], second: dict[str, tuple[str, ...]]
) -> None:
    words = vocabulary_with(setter("one", doubled, **first), setter("two", doubled, **second))
    assert bind("base resnet18; batch 8; two; one", words=words).training.batch == 32


def test_two_that_come_after_the_same_are_not_ordered_by_it() -> None:
    words = vocabulary_with(*(setter(word, doubled, after=("batch",)) for word in ("one", "two")))
    assert errors("base resnet18; one; two", words=words) == ["E030"]


def test_what_decides_in_place_of_another_needs_no_order() -> None:
    words = vocabulary_with(setter("turbo", bf16, writes=("dtype",)))
    assert bind("base resnet18; turbo", words=words).training.precision == "bf16"


def test_a_trick_need_not_take_a_training_that_is_nobodys() -> None:
    def change(training: Training) -> dict[str, Any]:
        return {"warmup": {256: 1.0}[training.batch]}

    words = vocabulary_with(setter("turbo", change, after=("batch",)))
    assert bind("base resnet18; batch 256; turbo", words=words).training.warmup == 1.0
    assert errors("base resnet18; batch 8; turbo", words=words) == ["E080"]


def test_another_training_differs_in_every_setting() -> None:
    assert all(one != other for one, other in zip(attrs.astuple(Training()), attrs.astuple(OTHER), strict=True))


@given(meaningful(), dialects)
def test_no_two_built_in_tricks_clash_over_a_setting(statements: list[str], dialect: str) -> None:
    assert errors("\n".join([f"dialect {dialect}", *statements])) == []
