"""The rows of an ablation: the tricks that are on in each, and the row that it is compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe.ablation.rows.variants import Row, check_choices, laid_off, rows_of, without
from recipe.base.errors import RecipeError
from tests.helpers import bind

TEXT = "base resnet18; batch 8; epochs 2; seed 3; tweak D; lr 0.1 warmup 1 cosine; loss smooth 0.2; precision fp16"


def rows(mode: str, *over: str, text: str = TEXT) -> tuple[Row, ...]:
    return rows_of(bind(text, data=True), mode, over)


def words(row: Row) -> set[str]:
    """Return the tricks of a row, out of those that the tests study."""
    stated = {"tweak D", "lr warmup", "lr cosine", "loss smooth", "augment mixup", "tweak C", "ema", "lr step"}
    return {use.word for use in row.plan.uses} & stated


def test_stacking_adds_each_trick_to_those_before() -> None:
    found = rows("stack")
    assert [row.label for row in found] == [
        "baseline", "+ tweak D", "+ lr warmup 1", "+ lr cosine", "+ loss smooth 0.2", "+ precision fp16",
    ]  # fmt: skip
    assert [row.reference for row in found] == [None, 0, 1, 2, 3, 4]
    assert words(found[0]) == set()
    assert words(found[3]) == {"tweak D", "lr warmup", "lr cosine"}
    assert found[-1].plan.digest == bind(TEXT, data=True).digest


def test_dropping_removes_each_trick_from_the_full_recipe() -> None:
    found = rows("drop", "tweak D", "lr cosine")
    assert [row.label for row in found] == ["full recipe", "− tweak D", "− lr cosine"]
    assert [row.reference for row in found] == [None, 0, 0]
    assert found[0].plan.digest == bind(TEXT, data=True).digest
    assert words(found[1]) == {"lr warmup", "lr cosine", "loss smooth"}
    assert words(found[2]) == {"tweak D", "lr warmup", "loss smooth"}


def test_adding_adds_each_trick_to_the_baseline() -> None:
    found = rows("add", "tweak D", "augment mixup 0.4", "tweak C")
    assert [row.label for row in found] == ["baseline", "+ tweak D", "+ augment mixup 0.4", "+ tweak C"]
    assert [row.reference for row in found] == [None, 0, 0, 0]
    assert words(found[0]) == {"lr warmup", "lr cosine", "loss smooth"}, "tricks that are not studied stay on"
    assert words(found[2]) == words(found[0]) | {"augment mixup"}
    assert found[2].plan.find("augment mixup").values == {"alpha": 0.4}  # type: ignore[union-attr]


def test_settings_are_studied_only_if_they_are_named() -> None:
    assert not {"+ batch", "+ epochs", "+ base", "+ seed", "+ lr"} & {row.label for row in rows("stack")}
    found = rows("add", "batch 16", "base resnet34")
    assert [row.plan.training.batch for row in found] == [8, 16, 8], "when the row is off, the recipe's value applies"
    assert [row.plan.model for row in found] == ["resnet18", "resnet18", "resnet34"]


def test_a_named_trick_takes_the_values_of_the_recipe_unless_it_has_its_own() -> None:
    values = [row.plan.find("loss smooth").values["epsilon"] for row in rows("add", "loss smooth")[1:]]  # type: ignore[union-attr]
    values += [row.plan.find("loss smooth").values["epsilon"] for row in rows("add", "loss smooth 0.3")[1:]]  # type: ignore[union-attr]
    assert values == [0.2, 0.3]
    warm = rows("drop", "lr warmup")
    assert [row.plan.training.warmup for row in warm] == [1, 0], "a required value as well"


def test_one_row_can_add_several_tricks() -> None:
    found = rows("add", "tweak C D", "loss smooth; augment mixup")
    assert [words(row) for row in found] == [
        {"lr warmup", "lr cosine"},
        {"lr warmup", "lr cosine", "tweak C", "tweak D"},
        {"lr warmup", "lr cosine", "loss smooth", "augment mixup"},
    ]


def test_a_trick_replaces_another_one_for_the_same_slot() -> None:
    text = "base resnet18; epochs 4; lr 0.1 step 2 3"
    found = rows("stack", "lr cosine", text=text)
    assert [words(row) for row in found] == [{"lr step"}, {"lr cosine"}]
    assert [words(row) for row in rows("drop", "lr cosine", text=text)] == [{"lr cosine"}, {"lr step"}]


def test_dropping_a_verb_keeps_its_clauses() -> None:
    text = "base resnet18; precision fp16; ema 0.9; loss aux=0.2 smooth"
    found = rows("drop", "precision", "ema", text=text)
    assert [row.plan.training.precision for row in found] == ["fp16", "fp32", "fp16"]
    assert [bool(row.plan.find("ema")) for row in found] == [True, True, False]


def test_a_stated_trick_that_changes_nothing_has_no_row() -> None:
    assert [row.label for row in rows("stack", text="base resnet18; init xavier; tweak D")] == ["baseline", "+ tweak D"]


@pytest.mark.parametrize(
    ("mode", "over", "said"),
    [
        ("stack", ("tweak D", "tweak Q"), "`tweak` does not accept `Q`"),
        ("stack", ("tweak C D", "tweak D"), "`tweak D` is named twice"),
        ("stack", ("",), "an argument of `over` is empty"),
        ("stack", ("freeze",), "add one of `body`, `gradual`, `norms`, `to`"),
        ("stack", ("seed 3",), "`seed` is not a trick to study"),
        ("add", ("drop tweak D",), "`drop` is not a trick to study"),
        ("add", ("augment erase smallest=2",), "takes a number above 0"),
        ("add", ("augment cutmix", "tweak A B"), "row `+ tweak A B`: `tweak A` and `tweak B` conflict"),
        ("sideways", (), "unknown mode `sideways`"),
    ],
)
def test_invalid_arguments_are_rejected(mode: str, over: tuple[str, ...], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        rows(mode, *over)
    (error,) = caught.value.diagnostics
    assert said in f"{error.message}; {error.help}"


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        rows("stack", "tweak Q", "augment mixdown", "lr cosine")
    assert len(caught.value.diagnostics) == 2


def test_a_recipe_without_tricks_is_rejected() -> None:
    with pytest.raises(RecipeError, match="E124"):
        rows("drop", text="base resnet18; batch 8")


def test_seeds_change_nothing_else() -> None:
    row = rows("stack")[2]
    plans = [row.seeded(seed) for seed in (3, 4)]
    assert [plan.training.seed for plan in plans] == [3, 4]
    assert plans[0].digest == row.plan.digest
    assert {use.statement() for use in plans[1].uses} ^ {use.statement() for use in row.plan.uses} == {
        "seed number=3", "seed number=4",
    }  # fmt: skip


def test_tricks_of_several_included_files_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "z.recipe").write_text("base resnet18\n" + "# " + "x" * 99 + "\ntweak D\n")
    (tmp_path / "a.recipe").write_text("loss smooth\n")
    (tmp_path / "mine.recipe").write_text('include "z.recipe"\ninclude "a.recipe"\naugment mixup\n')
    plan = bind(tmp_path / "mine.recipe", "tweak C", data=True)
    labels = [row.label for row in rows_of(plan, "stack", ())]
    assert labels == ["baseline", "+ tweak D", "+ loss smooth", "+ augment mixup", "+ tweak C"]


def test_add_compares_several_values_of_a_trick() -> None:
    found = rows("add", "loss smooth 0.1", "loss smooth 0.3")
    assert [words(row) for row in found] == [words(found[0]), *2 * [words(found[0]) | {"loss smooth"}]]
    assert [row.plan.find("loss smooth").values["epsilon"] for row in found[1:]] == [0.1, 0.3]  # type: ignore[union-attr]
    for mode, named in (("stack", ("loss smooth 0.1", "loss smooth 0.3")), ("add", ("tweak D", "tweak D"))):
        with pytest.raises(RecipeError, match=r"E124.*named twice"):
            rows(mode, *named)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("keep last", ()),
        ("keep best by=loss", ("keep best",)),
        ("patience 1", ("patience",)),
        ("keep best; patience 1", ("keep best", "patience")),
    ],
)
def test_a_choice_by_the_held_out_images_is_left_out(text: str, words: tuple[str, ...]) -> None:
    plan = bind(TEXT, f"epochs 9; {text}", data=True)
    assert laid_off(plan) == words
    bare = without(plan, words)
    assert laid_off(bare) == ()
    assert bare.digest == bind(TEXT, "epochs 9", data=True).digest


@pytest.mark.parametrize("over", ["keep best", "patience 1", "tweak C; patience 1"])
def test_a_choice_by_the_held_out_images_is_no_trick_to_study(over: str) -> None:
    with pytest.raises(RecipeError, match=r"E124.*is not a trick to study: it chooses an epoch"):
        check_choices(rows("add", over))
