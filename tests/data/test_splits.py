"""Which images are held out follows from their names alone."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence

import pytest

from recipe.data.splits import PARTS, Split, group_pattern, position

CLASSES = ("café", "dog")
NAMES = [f"{number}.jpg" for number in range(10_000)]


def divide(
    split: Split, names: Sequence[str], labels: Sequence[int] = (), classes: Sequence[str] = CLASSES
) -> dict[str, list[str]]:
    """Return the names of the images of each part, by default of those of the first class."""
    divided = split.divide(classes, labels or [0] * len(names), names)
    return {part: [names[index] for index in indices] for part, indices in divided.items()}


def parts(split: Split, names: Sequence[str]) -> dict[str, str]:
    """Return the part of each image of the first class by its name."""
    divided = divide(split, names)
    return {name: part for part in PARTS for name in divided[part]}


def form(text: str, name: str) -> str:
    return unicodedata.normalize(name, text)  # type: ignore[arg-type]


# ---- the hash


def test_a_position_is_that_of_a_known_hash() -> None:
    # printf '0\0caf\303\251\0000.jpg' | sha256sum
    assert position(0, "café", "0.jpg") == int("6fa535c3a2e4", 16) / 2**48


def test_the_shares_are_those_asked_for() -> None:
    counts = {part: len(images) for part, images in divide(Split(val=0.2, test=0.1), NAMES).items()}
    assert sum(counts.values()) == 10_000
    assert counts["val"] == pytest.approx(2000, abs=4 * 40)  # four standard deviations
    assert counts["test"] == pytest.approx(1000, abs=4 * 30)


def test_images_that_come_and_go_move_no_others() -> None:
    split, kept = Split(val=0.2, test=0.1), NAMES[:100]
    before = parts(split, kept)
    for trial in range(20):
        draw = random.Random(trial)
        others = parts(split, draw.sample(kept, 70) + [f"new-{number}.png" for number in range(draw.randrange(200))])
        assert {name: part for name, part in others.items() if name in before}.items() <= before.items()


def test_the_order_of_the_images_makes_no_difference() -> None:
    names = random.Random(0).sample(NAMES[:200], 200)
    assert parts(Split(val=0.3), names) == parts(Split(val=0.3), NAMES[:200])


@pytest.mark.parametrize("group", [None, "é{}-*"])
def test_unicode_forms_make_no_difference(group: str | None) -> None:
    names = [f"é{number}-1.jpg" for number in range(50)]
    other = [form(name, "NFD") for name in names]
    classes = [form(name, "NFD") for name in CLASSES]
    assert other != names
    split = Split(val=0.5, group=group)
    one = divide(split, names)["val"]
    decomposed = divide(Split(val=0.5, group=group and form(group, "NFD")), other, (), classes)
    assert one == [form(name, "NFC") for name in decomposed["val"]]
    assert 0 < len(one) < 50


def test_the_class_and_the_seed_count() -> None:
    names = NAMES[:50]
    assert parts(Split(val=0.5), names) != parts(Split(val=0.5, seed=1), names)
    dogs = divide(Split(val=0.5), names, [1] * 50)
    assert dogs["val"] != divide(Split(val=0.5), names)["val"]


def test_another_share_to_hold_out_moves_no_image_of_the_test() -> None:
    of_test = [
        {name for name, part in parts(Split(val=val, test=0.2), NAMES[:500]).items() if part == "test"}
        for val in (0.1, 0.5)
    ]
    assert of_test[0] == of_test[1]


def test_a_larger_share_keeps_what_a_smaller_one_holds_out() -> None:
    small, large = (
        {name for name, part in parts(Split(val=val), NAMES[:500]).items() if part == "val"} for val in (0.1, 0.2)
    )
    assert small < large


def test_the_last_image_of_a_class_stays_in_training() -> None:
    names = NAMES[:30]
    assert all([*parts(Split(val=0.9), [name]).values()] == ["train"] for name in names)
    held_out = parts(Split(val=0.6, test=0.399999), names)
    assert [*held_out.values()].count("train") == 1
    (kept,) = (name for name, part in held_out.items() if part == "train")
    assert kept == max(names, key=lambda name: position(0, "café", name))


# ---- groups


def test_groups_stay_together_across_classes() -> None:
    names = [f"p{patient}_{number}.png" for patient in range(40) for number in range(4)]
    labels = [number % 2 for number in range(len(names))]
    divided = divide(Split(val=0.3, group="{}_*"), names, labels)
    sides = {part: {name.split("_")[0] for name in images} for part, images in divided.items()}
    assert sides["train"] | sides["val"] == {f"p{patient}" for patient in range(40)}
    assert not sides["train"] & sides["val"]
    assert len(sides["val"]) > 3


def test_a_group_that_a_class_needs_in_training_stays_whole() -> None:
    names, labels = ["a_1.png", "a_2.png", "b_1.png", "c_1.png"], [0, 1, 1, 1]
    divided = divide(Split(val=0.999999, group="{}_*"), names, labels)
    sides = {part: {name[0] for name in images} for part, images in divided.items()}
    assert "a" in sides["train"]
    assert not sides["train"] & sides["val"]


@pytest.mark.parametrize(
    ("pattern", "name", "group"),
    [
        ("{}_*", "a_b_c.png", "a"),
        ("*_{}.png", "a_b.png", "b"),
        ("{}/*", "case 7/1.png", "case 7"),
        ("*/{}-*", "x/7-1.png", "7"),
        ("*-*-{}_*", "a-b-c-d_e", "c-d"),
        ("*{}", "abc", "abc"),
        ("{}_*", "a.png", None),
        ("{}_*", "_a.png", None),
        ("{}_*", "x/a_b.png", None),
        ("{}.[0]", "a.[0]", "a"),
    ],
)
def test_group_patterns(pattern: str, name: str, group: str | None) -> None:
    match = group_pattern(pattern).fullmatch(name)
    assert (match and match[1]) == group


def test_a_pattern_takes_no_longer_than_a_name_deserves() -> None:
    assert group_pattern("*a*a*a*a{}b").fullmatch("a" * 20_000) is None  # with backtracking, this takes years


@pytest.mark.parametrize("pattern", ["a", "{}{}", "*" * 5 + "{}"])
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="a group pattern"):
        group_pattern(pattern)


def test_a_path_that_the_pattern_does_not_match_is_an_error() -> None:
    said = r"the group pattern `\{\}_\*` does not match `b.png` of the class `café`"
    with pytest.raises(ValueError, match=said):
        divide(Split(val=0.3, group="{}_*"), ["a_1.png", "b.png"])


def test_stated_groups_stay_together_whatever_the_names() -> None:
    names = [f"{number}.png" for number in range(160)]
    groups = [f"p{number % 40}" for number in range(160)]
    divided = Split(val=0.3).divide(CLASSES, [number % 2 for number in range(160)], names, groups)
    sides = {part: {groups[index] for index in indices} for part, indices in divided.items()}
    assert sides["train"] | sides["val"] == {*groups}
    assert not sides["train"] & sides["val"]
    by_pattern = divide(
        Split(val=0.3, group="{}_*"), [f"{group}_{name}" for group, name in zip(groups, names, strict=True)]
    )
    assert {name.split("_")[0] for name in by_pattern["val"]} == sides["val"]


def test_an_image_in_a_subfolder_that_the_pattern_does_not_match_can_be_ignored() -> None:
    said = r"does not match `wild/a_2.png` of the class `café`; write `subfolders=skip`$"
    with pytest.raises(ValueError, match=said):
        divide(Split(val=0.3, group="{}_*", help="; write `subfolders=skip`"), ["a_1.png", "wild/a_2.png"])
    with pytest.raises(ValueError, match=r"of the class `café`$"):
        divide(Split(val=0.3, group="{}/*"), ["wild/a_1.png", "a_2.png"])
