"""Slots: the order and the conflicts of tricks follow from their declarations."""

from __future__ import annotations

import random
from math import inf
from pathlib import Path

import attrs
import pytest

from recipe.api import Trick, trick
from recipe.base.errors import RecipeError
from recipe.base.source import Source, Span
from recipe.plan.ordering import conflicts, solve
from recipe.plugins.declared import OWN
from recipe.plugins.slots import COMBINED, EXCLUSIVE
from recipe.plugins.trick import HOOKS
from recipe.plugins.uses import Origin, Use
from tests.helpers import bind, diagnostics, vocabulary, vocabulary_with
from tests.strategies import all_tricks


def use(word: str, package: str = OWN, **relations: tuple[str, ...]) -> Use:
    """Return a use of a made-up trick."""

    @trick(word, **relations)  # type: ignore[arg-type]
    class Made(Trick):
        """Do nothing."""

    position = vocabulary().position(word.split()[0]) if package == OWN else inf
    declared = attrs.evolve(Made.declared, package=package, position=position)
    return Use(Made(), {}, Origin("default", "default"), declared)


def order(*uses: Use) -> list[str]:
    return [found.word for found in solve(uses)]


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        # Writers of a slot come before its readers, regardless of names.
        ([use("a", reads=("stem",), writes=("norm",)), use("z", writes=("stem",))], ["z", "a"]),
        ([use("a", reads=("init",)), use("b", reads=("stem",), writes=("init",)), use("c", writes=("stem",))], "cba"),
        # A trick that reads and writes a slot does not wait for its other writers.
        ([use("a", reads=("inputs",), writes=("inputs",)), use("b", writes=("inputs",))], "ab"),
        # Then `after` applies, if the recipe has the other trick.
        ([use("a", after=("b",)), use("b")], "ba"),
        ([use("a", after=("nowhere",)), use("b")], "ab"),
        # Without declarations, the reading order applies.
        ([use("seed"), use("tweak C"), use("zzz"), use("base")], ["base", "tweak C", "seed", "zzz"]),
        ([use("lr cosine"), use("lr"), use("decay"), use("lr per")], ["lr", "lr cosine", "lr per", "decay"]),
    ],
)
def test_the_order_follows_from_the_declarations(uses: list[Use], expected: list[str] | str) -> None:
    assert order(*uses) == list(expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_does_not_depend_on_how_a_recipe_is_written(seed: int) -> None:
    statements = "base resnet50; tweak B; tweak C; tweak D; init zero-gamma; augment crop; augment flip; augment jitter"
    statements += (
        "; augment pca-noise; augment mixup; augment cutmix; loss smooth; lr per 256; lr warmup 5; lr cosine; ema"
    )
    mixed = statements.split("; ")
    random.Random(seed).shuffle(mixed)
    plan = bind("; ".join(mixed))
    assert [use.word for use in plan.uses] == [use.word for use in bind(statements).uses]


def test_the_order_of_the_papers_tricks() -> None:
    last = "loss smooth; base resnet50"
    plan = bind(f"init zero-gamma; tweak D C; augment cutmix mixup pca-noise jitter flip crop; lr per 256; {last}")
    place = {use.word: index for index, use in enumerate(plan.uses)}

    def rising(*words: str) -> bool:
        return [place[word] for word in words] == sorted(place[word] for word in words)

    assert rising("base", "tweak C", "init xavier", "init zero-gamma")
    assert rising("tweak D", "init xavier")
    assert rising("augment crop", "augment jitter", "augment pca-noise", "augment mixup")
    assert rising("loss smooth", "augment mixup")
    assert rising("loss smooth", "augment cutmix")
    assert rising("batch", "lr per")
    assert rising("lr", "lr per")


def test_a_circular_order_is_rejected_with_the_names_of_the_packages() -> None:
    circle = [use("a", "one", after=("b",)), use("b", "two", after=("a",)), use("c")]
    with pytest.raises(RecipeError) as caught:
        solve(circle)
    (error,) = caught.value.diagnostics
    assert error.code == "E032"
    assert "`a` (from one)" in error.message
    assert "`b` (from two)" in error.message
    assert "`c`" not in error.message


@pytest.mark.parametrize(
    ("uses", "code", "said"),
    [
        (
            [use("a", writes=("stem",)), use("b", writes=("stem",))],
            "E030",
            "both set the layers before the first block",
        ),
        ([use("a", excludes=("b",)), use("b")], "E030", "one excludes the other"),
        ([use("b"), use("a", excludes=("b",))], "E030", "one excludes the other"),
        ([use("a", "one", excludes=("b",)), use("b", "two")], "E030", "(`a` from one, `b` from two)"),
        ([use("a", needs=("b c",))], "E031", "`a` needs `b c`"),
    ],
)
def test_conflicts(uses: list[Use], code: str, said: str) -> None:
    (error,) = conflicts(uses)
    assert error.code == code
    assert said in error.message
    assert error.help


@pytest.mark.parametrize(
    "uses",
    [
        [use("a", writes=("inputs", "mix", "loss terms")), use("b", writes=("inputs", "mix", "loss terms"))],
        [use("a", writes=("stem",)), use("b", reads=("stem",))],
        [use("a", needs=("b",)), use("b")],
        [use("a", excludes=("c",)), use("b")],
    ],
)
def test_tricks_without_conflicts(uses: list[Use]) -> None:
    assert conflicts(uses) == []


@pytest.mark.parametrize(
    "text",
    [
        "tweak A B",
        "lr cosine step 30",
        "init xavier kaiming",
        "optimizer nag sgd",
        "data digits fake",
        "init stock kaiming",
    ],
)
def test_a_clash_in_a_recipe_shows_both_places(text: str) -> None:
    _, first, second = text.split()[:3]
    (error,) = diagnostics(f"base resnet50\n{text}")
    assert error.code == "E030"
    assert error.span is not None
    assert [span.text for span, _ in error.others] + [error.span.text] == [first, second]
    assert error.help == "remove one"


def test_the_lower_of_two_conflicting_layers_can_be_dropped() -> None:
    found = []
    for name, word in (("below", "shine"), ("above", "glow")):
        origin = Origin("file", name, Span(Source(name, word, Path.cwd()), 0, len(word)))
        found.append(attrs.evolve(use(word, writes=("gate",)), origin=origin))
    (error,) = conflicts(found)
    assert error.span == found[1].span
    assert [span for span, _ in error.others] == [found[0].span]
    assert error.help == "remove `glow`, or add `drop shine` next to it"
    (error,) = conflicts([found[0], use("dim", writes=("gate",))])  # a dialect is below all files
    assert error.help == "remove `shine`", "a trick that no layer states can't be dropped"


@pytest.mark.parametrize(
    "text", ["augment mixup cutmix", "tweak B C D", "init xavier zero-gamma", "loss smooth; augment mixup"]
)
def test_tricks_that_combine(text: str) -> None:
    assert diagnostics(f"base resnet50\n{text}") == ()


def test_every_slot_has_a_description_and_one_kind() -> None:
    assert not set(EXCLUSIVE) & set(COMBINED)
    assert all(text.strip() for text in (*EXCLUSIVE.values(), *COMBINED.values()))


def test_built_in_tricks_refer_to_existing_slots_and_tricks() -> None:
    tricks = all_tricks()
    words = {found.declared.word for found in tricks} | {"loss distill"}
    for found in tricks:
        declared = found.declared
        assert {*declared.reads, *declared.writes} <= {*EXCLUSIVE, *COMBINED}
        assert {*declared.after, *declared.needs, *declared.excludes} <= words
        assert any(getattr(found, hook) is not getattr(Trick, hook) for hook in HOOKS) or declared.word == "init stock"


READING_ORDER = (
    "base tweak init data input sample evaluation augment resize batch epochs optimizer sam clip lr decay "
    "freeze loss precision layout compile norm ema keep patience seed"
).split()


def test_all_tricks_of_a_built_in_verb_have_its_position() -> None:
    positions = {(declared.verb, declared.position) for declared in (found.declared for found in all_tricks())}
    assert [verb for verb, _ in sorted(positions, key=lambda pair: pair[1] or 0)] == READING_ORDER
    assert vocabulary().in_reading_order() == READING_ORDER


def test_reading_order_puts_verbs_before_clauses_and_other_packages_last() -> None:
    made = [use(word, "theirs").trick for word in ("zzz a", "aaa", "lr glow")]
    words = vocabulary_with(*map(type, made))
    assert words.in_reading_order() == [*READING_ORDER, "aaa", "zzz"]
    plan = bind("base resnet50; zzz a; lr 1 glow warmup 1; aaa; seed 1", words=words)
    said = [use.word for use in sorted(plan.uses, key=lambda use: use.declared.reading_key)]
    assert said[-5:] == ["precision", "layout", "seed", "aaa", "zzz a"]
    assert said.index("lr") + 1 == said.index("lr glow") == said.index("lr warmup") - 1
