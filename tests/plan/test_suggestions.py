"""Suggestions: tricks propose values for fields that a recipe leaves unset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipe.api import SuggestContext, Trick, integer, number, trick
from tests.helpers import bind, diagnostics, errors, vocabulary_with


def hint(name: str, value: object) -> type[Trick]:
    """Return a trick that suggests a value."""

    @trick("hint", writes=("run",))
    class Hint(Trick):
        """Suggest something."""

        def suggest(self, context: SuggestContext) -> dict[str, object]:
            return {name: value}

    return Hint


@pytest.mark.parametrize(
    ("name", "value", "said", "help"),
    [
        ("batch total", -5, "it takes a whole number of at least 1", ""),
        ("epochs count", 2.0, "it takes a whole number", ""),
        ("lr rate", "fast", "it takes a number", ""),
        ("epoch count", 2, "unknown trick `epoch`", "did you mean `epochs count`?"),
        ("lr sweep rate", 0.1, "unknown trick `lr sweep`", "did you mean `lr step rate`?"),
        ("epochs cuont", 2, "`epochs` has no field `cuont`", "did you mean `epochs count`?"),
        ("data on-error", "skip", "`data digits` has no field `on-error`", "its fields are `size`, `workers`"),
        ("count", 2, "it names no trick", 'name a suggestion by trick and field, as in "lr warmup epochs"'),
    ],
)
def test_an_invalid_suggestion_is_an_error_in_its_trick(name: str, value: object, said: str, help: str) -> None:
    words = vocabulary_with(hint(name, value))
    (error,) = diagnostics("base resnet18; data digits; hint", words=words)
    assert (error.code, error.help) == ("E080", help)
    package = words.packages(("hint", None))[0]
    assert error.message.startswith(f"`hint` from {package} suggests {value!r} for `{name}`: {said}"), error.message
    assert error.span is not None
    assert error.span.text == "hint"


def test_suggestions_that_differ_are_an_error_of_the_later_trick() -> None:
    @trick("other", writes=("run",))
    class Other(Trick):
        """Suggest something else."""

        def suggest(self, context: SuggestContext) -> dict[str, object]:
            return {"epochs count": 7}

    words = vocabulary_with(hint("epochs count", 3), Other)
    (error,) = diagnostics("base resnet18; hint; other", words=words)
    assert (error.code, error.span and error.span.text) == ("E080", "other")
    assert error.message.endswith("suggests 7 for `epochs count`: `hint` suggests 3")
    assert errors("base resnet18; hint; other; epochs 2", words=words) == [], "a stated value needs no suggestion"
    same = vocabulary_with(hint("epochs count", 7), Other)
    assert bind("base resnet18; hint; other", words=same).training.epochs == 7
    assert errors("base resnet18; data digits; data fake") == ["E030"], "what conflicts is reported once"


def test_a_suggestion_may_depend_on_the_statements(tmp_path: Path) -> None:
    seen = []

    @trick("hint", writes=("run",))
    class Hint(Trick):
        """Suggest longer trainings for larger batches."""

        def suggest(self, context: SuggestContext) -> dict[str, object]:
            seen.append(context)
            return {"epochs count": context.given.get("batch", {}).get("total", 64)}

    words = vocabulary_with(Hint)
    (tmp_path / "teacher.recipe").write_text("base resnet18")
    (tmp_path / "mine.recipe").write_text(
        'dialect gluoncv\nbatch 100\nhint\nbase resnet18\ndata folder "x" on-error=skip\n'
        'lr warmup 5 cosine\nloss distill "teacher.recipe" temperature=2\n'
    )
    assert bind(tmp_path / "mine.recipe", words=words).training.epochs == 100
    (context,) = seen
    assert context.dialect == "gluoncv"
    assert context.words == (
        "base", "batch", "data folder", "hint", "loss distill", "lr cosine", "lr warmup",
    )  # fmt: skip
    assert context.given["batch"] == {"total": 100}
    assert {**context.given["data folder"], "path": "x"} == {"path": "x", "on-error": "skip"}
    assert context.given["lr warmup"] == {"epochs": 5}
    assert context.given["lr cosine"] == {}
    assert context.given["loss distill"] == {"temperature": 2}, "teachers are read later"
    assert bind("base resnet18; hint", words=words).training.epochs == 64


def test_a_suggestion_cannot_change_the_statements() -> None:
    @trick("hint", writes=("run",))
    class Hint(Trick):
        """Change a stated value."""

        def suggest(self, context: SuggestContext) -> dict[str, object]:
            context.given["batch"]["total"] = 8  # type: ignore[index]
            return {}

    (error,) = diagnostics("base resnet18; batch 4; hint", words=vocabulary_with(Hint))
    assert (error.code, "does not support item assignment" in error.message) == ("E080", True)


def test_a_suggestion_applies_only_to_the_trick_that_it_names() -> None:
    @trick("lr sweep", writes=("lr",))
    class Sweep(Trick):
        """Sweep the learning rate."""

        rate: float = number(7.0, "of the sweep")

    plan = bind("base resnet18; data digits; lr sweep", words=vocabulary_with(Sweep))
    assert plan.find("lr").values["rate"] == 0.05  # type: ignore[union-attr]
    assert plan.find("lr sweep").values["rate"] == 7  # type: ignore[union-attr]


def test_a_suggestion_names_a_field_as_in_a_recipe() -> None:
    words = vocabulary_with(hint("data folder on-error", "skip"))
    plan = bind('base resnet18; data folder "x"; hint', words=words)
    assert plan.find("data folder").values["on_error"] == "skip"  # type: ignore[union-attr]
    assert str(plan.find("data folder").origins["on_error"]) == "suggested by `hint`"  # type: ignore[union-attr]
    assert errors("base resnet18; hint", words=words) == [], (
        "a suggestion for a trick that is not in the recipe is ignored"
    )


@pytest.mark.parametrize("data", ["folder", "cifar10", "fashion-mnist", "fake", "mine"])
def test_a_suggestion_for_a_verb_without_a_trick_applies_to_each_of_its_clauses(data: str) -> None:
    @trick("data mine", writes=("data",))
    class Mine(Trick):
        """Images of mine."""

        size: int = integer(100, "height and width")
        workers: int = integer(0, "processes")

        def open(self) -> Any:
            raise NotImplementedError

    path = "" if data in ("fake", "mine") else '"x"'
    plan = bind(f"base inception_v3; data {data} {path}", words=vocabulary_with(Mine))
    assert plan.find(f"data {data}").values["size"] == 299  # type: ignore[union-attr]
