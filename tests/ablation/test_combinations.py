"""The rows of a screening: those of the design, and what takes the place of impossible combinations."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from recipe.ablation.rows.combinations import Screen, screened
from recipe.api import Trick, trick
from recipe.base.errors import RecipeError
from recipe.base.source import Source
from recipe.plan.bind import bind as bound
from tests.helpers import bind, vocabulary_with

TEXT = "base resnet18; batch 8; epochs 2; tweak D; lr 0.1 warmup 1 cosine; loss smooth 0.2"


def screen(*over: str, text: str = TEXT, resolution: int | None = None, runs: int | None = None) -> Screen:
    return screened(bind(text, data=True), over, resolution, runs)


def code(*over: str, **options: int) -> str:
    with pytest.raises(RecipeError) as caught:
        screen(*over, **options)  # type: ignore[arg-type]
    return "\n".join(f"{each.code}: {each.message}; {each.help}" for each in caught.value.diagnostics)


def test_each_row_is_a_combination_of_the_design() -> None:
    found = screen()
    assert [unit.label for unit in found.units] == ["tweak D", "lr warmup 1", "lr cosine", "loss smooth 0.2"]
    assert len(found.rows) == 8
    assert found.rows[0].label == "1: none"
    assert found.rows[4].label == "5: tweak D, lr warmup 1, lr cosine, loss smooth 0.2"
    for row, levels in zip(found.rows, found.design.levels, strict=True):
        on = [row.plan.find(unit.words[0]) is not None for unit in found.units]
        assert on == levels.tolist()
    assert found.rows[4].plan.digest == bind(TEXT, data=True).digest
    assert (found.replaced, found.seeds) == ((), 2)


def test_a_trick_that_another_one_overrides_is_off() -> None:
    found = screen("lr cosine", "lr step 1", "tweak D", "loss smooth", "ema 0.9")
    cosine, step = found.design.levels[:, 0], found.design.levels[:, 1]
    assert not (cosine & step).any()
    assert cosine.any()
    assert step.any()
    assert len({row.plan.digest for row in found.rows}) == len(found.rows) == 16
    assert len(found.replaced) == 4
    assert found.design.undetermined == []
    for row, levels in zip(found.rows, found.design.levels, strict=True):
        assert [row.plan.find(unit.words[0]) is not None for unit in found.units] == levels.tolist()


@trick("dim")
class Dim(Trick):
    """A trick that others need."""


@trick("dim more", needs=("dim",))
class More(Trick):
    """A trick that needs another one."""


@trick("dim less", needs=("dim",), excludes=("dim more",))
class Less(Trick):
    """A trick that needs one and excludes another one."""


def test_a_refused_combination_is_replaced_by_the_nearest_possible_one() -> None:
    plan = bind(TEXT, words=vocabulary_with(Dim, More, Less), data=True)
    found = screened(plan, ("dim", "dim more", "dim less", "loss smooth", "tweak D"))
    dim, more, less = found.design.levels.T[:3]
    assert not (~dim & (more | less)).any()
    assert not (more & less).any()
    assert len({row.plan.digest for row in found.rows}) == len(found.rows) == 16
    assert len(found.replaced) == 8, "of 16, those with a trick without the one it needs, or with one it excludes"
    assert found.design.undetermined == []
    rows = found.design.levels.tolist()
    assert all(
        min(sum(a != b for a, b in zip(each.on, row, strict=True)) for row in rows) <= 2 for each in found.replaced
    )
    whys = {each.why for each in found.replaced}
    assert whys == {
        "`dim more` needs `dim`",
        "`dim less` needs `dim`",
        "`dim more` and `dim less` conflict: one excludes the other",
    }


def test_tricks_that_need_each_other_are_one_trick() -> None:
    @trick("dim", needs=("dim more",))
    class Mutual(Trick):
        """A trick that needs one that needs it."""

    plan = bind(TEXT, words=vocabulary_with(Mutual, More), data=True)
    with pytest.raises(RecipeError) as caught:
        screened(plan, ("dim", "dim more", "loss smooth"))
    assert "the effects of `dim`, `dim more` can't be told apart" in str(caught.value)
    assert '"dim; dim more"' in str(caught.value)
    found = screened(plan, ("dim; dim more", "loss smooth"))
    assert found.rows[-1].plan.find("dim more")
    assert not found.replaced


def test_two_tricks_that_exclude_each_other_have_three_combinations() -> None:
    found = screen("tweak A", "tweak B")
    assert sorted(found.design.levels.tolist()) == [[False, False], [False, True], [True, False]]
    assert [each.row for each in found.replaced] == [None]
    assert np.isfinite(found.design.contrasts).all()


def test_a_trick_that_changes_nothing_is_an_error() -> None:
    said = code("lr", "tweak D", "ema 0.9")
    assert said.startswith("E124: `lr` can't be screened: the recipe is the same without it; leave it out of `over=`")


def test_a_screening_needs_two_tricks() -> None:
    assert code("loss smooth").startswith("E124: a screening compares at least two tricks, not only `loss smooth`")


def test_the_most_runs_choose_the_seeds_and_the_resolution() -> None:
    tricks = ("tweak D", "loss smooth", "ema 0.9", "augment mixup", "lr cosine")
    shape = {runs: screen(*tricks, runs=runs) for runs in (16, 31, 32)}
    assert {runs: (each.design.resolution, len(each.rows), each.seeds) for runs, each in shape.items()} == {
        16: (3, 8, 2), 31: (3, 8, 3), 32: (4, 16, 2),
    }  # fmt: skip
    assert "E127: 15 runs can't screen 5 tricks; allow 16 runs with `runs=`" in code(*tricks, runs=15)
    assert "allow 32 runs" in code(*tricks, runs=31, resolution=4)


@pytest.mark.parametrize("over", [(), ("lr step 1", "tweak D", "loss smooth 0.1"), ("batch 16", "tweak D", "ema 0.9")])
def test_statements_to_paste_give_the_same_recipe(over: tuple[str, ...]) -> None:
    found, plan = screen(*over), bind(TEXT, data=True)
    for on in itertools.product((False, True), repeat=len(found.units)):
        statements = found.combinations.statements(on)
        row = found.combinations.find(on)
        assert row is not None
        if row[1] == on:
            assert statements is not None
            pasted = Source("pasted", "; ".join(statements), Path.cwd(), "override")
            assert bound([*plan.sources, pasted], plan.vocabulary, data=True).digest == row[0].plan.digest
        else:
            assert statements is None
    assert screen().combinations.statements((True, False, True, True)) == ("drop lr warmup",)
