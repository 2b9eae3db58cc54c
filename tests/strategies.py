"""Hypothesis strategies for recipes: any that the grammar accepts, and recipes that bind."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st

from recipe.api import Trick
from recipe.plugins.field_contracts import SIZE
from recipe.plugins.fields import Field
from recipe.plugins.kinds import (
    Address,
    Architecture,
    Choice,
    FilePath,
    Kind,
    Number,
    Numbers,
    ShareOrPath,
    ShareOrText,
    Text,
    quoted,
)
from recipe.plugins.slots import EXCLUSIVE, IMAGES
from tests.helpers import DIALECTS, vocabulary

# ---- recipes that the grammar accepts

BLANKS = st.sampled_from(["", "", " ", "  ", "\t", " \t "])
GAPS = st.sampled_from([" ", " ", "  ", "\t"])
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:\-]{0,8}", fullmatch=True)
NUMBERS = st.from_regex(r"[+-]?([0-9]{1,4}(\.[0-9]{0,3})?|\.[0-9]{1,3})([eE][+-]?[0-9]{1,2})?", fullmatch=True)
_LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0")
STRINGS = st.text(_LETTERS, max_size=8).map(quoted)
VALUES = st.one_of(NAMES, NUMBERS, NUMBERS.map(lambda number: f"{number}%"), STRINGS)
COMMENTS = st.text(_LETTERS, max_size=12).map(lambda text: f"#{text}".rstrip())


@attrs.frozen
class Written:
    """A recipe's text, its statements, each as a verb and its items, and its comments."""

    text: str
    statements: tuple[tuple[str, ...], ...]
    comments: tuple[str, ...]


@st.composite
def written(draw: st.DrawFn) -> Written:
    """Draw a well-formed recipe that need not mean anything, with comments and odd whitespace."""
    text, statements, comments = "", [], []
    for _ in range(draw(st.integers(0, 6))):
        parts = []
        for _ in range(draw(st.integers(0, 3))):
            words = [draw(NAMES)]
            line = draw(BLANKS) + words[0]
            for _ in range(draw(st.integers(0, 4))):
                name, value = draw(st.none() | NAMES), draw(VALUES)
                line += draw(GAPS) + (value if name is None else name + draw(BLANKS) + "=" + draw(BLANKS) + value)
                words.append(value if name is None else f"{name}={value}")
            parts.append(line + draw(BLANKS))
            statements.append(tuple(words))
        text += draw(st.sampled_from([";", "; ;", ";"])).join(parts)
        text += draw(BLANKS) + draw(st.sampled_from(["", "", ";"]))
        if draw(st.booleans()):
            comments.append(draw(COMMENTS))
            text += draw(BLANKS) + comments[-1]
        text += "\n"
    return Written(text.removesuffix("\n") if draw(st.booleans()) else text, tuple(statements), tuple(comments))


# ---- recipes that bind


def words_for(kind: Kind) -> st.SearchStrategy[str]:
    """Return a strategy for the words that a field of this kind accepts."""
    if isinstance(kind, Number):
        return _numbers(kind).map(lambda value: str(value) if kind.whole else repr(value)) | _percents(kind)
    if isinstance(kind, Numbers):
        if kind.counts:
            several = (st.lists(_numbers(kind.each), min_size=count, max_size=count) for count in kind.counts)
            return st.one_of(several).map(lambda values: " ".join(map(repr, values)))
        few = st.lists(_numbers(kind.each), min_size=1, max_size=4, unique=True)
        return few.map(lambda values: " ".join(map(repr, sorted(values))))
    if isinstance(kind, Architecture):
        return st.sampled_from(kind.words) | st.sampled_from([f"{prefix}resnet50d" for prefix in kind.prefixes])
    if isinstance(kind, Choice):
        return st.sampled_from(kind.words)
    if isinstance(kind, Address):
        return st.sampled_from(['"layer1"', '"layer2.0"'])
    if isinstance(kind, ShareOrText):
        return st.sampled_from(["20%", "0.125", '"validation"'])
    if isinstance(kind, Text):
        return st.sampled_from(['"{}_*"', '"*/{}-*.png"'])
    if isinstance(kind, ShareOrPath):
        return st.sampled_from(["20%", "0.125", '"nowhere"'])
    assert isinstance(kind, FilePath), kind
    paths = st.sampled_from(['"nowhere"', '"a folder/with blanks"', r'"with \"quotes\" and \\"', '"/no/where"'])
    return paths | st.sampled_from(["DEFAULT", "IMAGENET1K_V2"]) if kind.name else paths


def _numbers(kind: Number) -> st.SearchStrategy[float]:
    least, most = max(kind.minimum, -1e6), min(kind.maximum, 1e6)
    if kind.of:
        return st.sampled_from(kind.of)
    if kind.whole:
        return st.integers(int(least), int(most))
    least = least if kind.above is None else max(least, kind.above)
    most = most if kind.below is None else min(most, kind.below)
    return st.floats(least, most, exclude_min=least == kind.above, exclude_max=most == kind.below)


def _percents(kind: Number) -> st.SearchStrategy[str]:
    least = max(0 if kind.above is None else kind.above, kind.minimum, -10)
    most = min(1 if kind.below is None else kind.below, kind.maximum, 10)
    fitting = [f"{count}%" for count in range(-1000, 1001) if least < count / 100 < most]
    return st.nothing() if kind.whole or not fitting else st.sampled_from(fitting)


NEEDED = {("data folder", "path"), ("data hf", "repository"), ("data list", "path")}
"""Fields that have a default, but can only be left out if another one is stated."""

INSTEAD = {("data hf", "folder"), ("data torchvision", "group")}
"""Fields that are stated instead of a needed one, or that only some datasets take."""

STATED = {
    ("data hf", "repository"): '"someone/birds"',
    ("data hf", "train"): '"train"',
    ("data hf", "val"): '"validation"',
    ("data hf", "test"): '"test"',
    ("data torchvision", "dataset"): "EMNIST",
    ("data torchvision", "variant"): '"letters"',
    ("data torchvision", "val"): '"test"',
    ("data torchvision", "test"): "10%",
}
"""Values of fields that not all others fit, or whose texts have a form of their own."""

IN_ORDER = {("augment erase", "smallest"): {"maximum": 0.02}, ("augment erase", "largest"): {"minimum": 0.02}}
"""Narrower bounds of fields that must not contradict each other."""

SPANS = st.sampled_from(
    ["", "", "", " until=1", " from=0.5", " until=90%", " from=0 until=0.1%", " from=1e-3 until=7e1%"]
)
"""The spans of a trick that can have one."""


@st.composite
def trick_statements(draw: st.DrawFn, trick: type[Trick], implicit: bool = True) -> str:
    """Draw a statement of a trick. With ``implicit``, fields that have a default may be left out."""
    text, by_place = trick.declared.word, True
    for field in trick.declared.fields:
        needed = field.required or (trick.declared.word, field.name) in NEEDED
        place = trick.declared.word, field.name
        if place in INSTEAD or (not needed and implicit and draw(st.booleans())):
            by_place = False
            continue
        bounds = IN_ORDER.get((trick.declared.word, field.word), {})
        value = STATED.get(place) or draw(words_for(attrs.evolve(field.kind, **bounds)))
        named = not by_place or (not field.required and draw(st.booleans()))
        text += f" {field.word}={value}" if named else f" {value}"
        is_size = IMAGES in trick.declared.writes and field.name == SIZE  # another number needs its name
        by_place = by_place and not named and not field.kind.many and not is_size
    return text + (draw(SPANS) if trick.declared.spans else "")


def _is_made_up(field: Field) -> bool:
    return isinstance(field.kind, (Number, Numbers, Choice, FilePath, Text))


def all_tricks() -> list[type[Trick]]:
    """Return all tricks except those that need an existing file, such as a teacher's recipe."""
    found = [vocabulary().load(*key) for key in vocabulary().keys()]  # noqa: SIM118
    return [trick for trick in found if all(map(_is_made_up, trick.declared.fields))]


APART = {"compile": "batch micro", "batch micro": "compile"}
"""Tricks that conflict for some values: CUDA graphs can't accumulate gradients."""


@st.composite
def meaningful(draw: st.DrawFn) -> list[str]:
    """Draw the statements of a recipe that binds: a base, and tricks that don't conflict, in any order."""
    base, *others = sorted(all_tricks(), key=lambda trick: (trick.declared.verb != "base", trick.declared.word))
    chosen, taken = [base], set(base.declared.writes) & EXCLUSIVE.keys()
    for trick in draw(st.permutations(others))[: draw(st.integers(0, 12))]:
        slots = set(trick.declared.writes) & EXCLUSIVE.keys()
        if not slots & taken and APART.get(trick.declared.word) not in {one.declared.word for one in chosen}:
            chosen.append(trick)
            taken |= slots
    statements = [draw(trick_statements(trick)) for trick in chosen]
    return draw(st.permutations(statements))


dialects = st.sampled_from(DIALECTS)
