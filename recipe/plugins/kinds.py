"""The kinds of values: each turns a written `Word` into a typed value, and back into text."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

from recipe.base.plain_numbers import plain_numbers
from recipe.base.wording import did_you_mean, listing
from recipe.language.ast import UNWRITABLE, Word, quoted
from recipe.language.recipe_input import names_file


class InvalidValue(Exception):
    """A value that a field does not accept, with a code of `recipe.base.codes`, a message and a help text."""

    def __init__(self, code: str, message: str, help: str = "") -> None:
        self.code, self.message, self.help = code, message, help


@attrs.frozen
class FieldContext:
    """What a field needs to read a word: the folder that paths are relative to, and a way to bind another recipe."""

    folder: Path
    bind: Callable[[str, Word], RecipeFile]
    earlier: bool = False
    """Whether fields may have their names in earlier releases, as in the lock of a run."""


@attrs.frozen
class RecipeFile:
    """Another recipe, named by a path or written as text, or a run."""

    path: str
    """The absolute path of the recipe or of the folder of the run, or the text of the recipe."""
    digest: str
    """The digest of its plan or its run, which also represents it in the digest of the plan that names it."""

    @property
    def name(self) -> str:
        """What to call it in messages: the name of its file or folder, or its text."""
        return Path(self.path).name if os.path.isabs(self.path) else self.path


@attrs.frozen
class LazyValue:
    """A value that is computed only when it is used, so that dropped statements open no files."""

    make: Callable[[], Any]


@attrs.frozen
class Kind:
    """A kind of value. Subclasses define which words it accepts (``read``) and how to write a value (``write``)."""

    many: ClassVar[bool] = False
    """Whether the field takes all the values that follow."""
    words: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    """The bare words that it accepts as values."""

    @property
    def expects(self) -> str:
        """What the field takes, for messages: `a number of at least 0`."""
        raise NotImplementedError

    def takes_more(self, values: tuple[Any, ...]) -> bool:
        """Whether a field that has these values takes the next one, too."""
        return self.many

    def may_follow(self, value: Any, before: Any) -> bool:
        """Whether a value may come directly after another one of the same field."""
        return True

    def read(self, word: Word, reading: FieldContext) -> Any:
        raise NotImplementedError

    def write(self, value: Any) -> str:
        return str(value)

    def holds(self, value: Any) -> bool:
        """Whether a value from Python code is of this kind."""
        return isinstance(value, str)

    def knows(self, name: str) -> bool:
        """Whether a bare name is one of its own words."""
        return name in self.words

    def takes_name(self, name: str) -> bool:
        """Whether a bare name can be a value of this kind."""
        return self.knows(name)

    def identity(self, value: Any) -> Any:
        """Return the plain JSON value that represents this value in a plan's digest."""
        return value


def written(value: float) -> str:
    """Return the shortest text of a number without loss: ``1``, ``0.1``, ``1e-05``."""
    return str(int(value)) if value == int(value) and abs(value) <= 1e15 else repr(float(value))


@attrs.frozen
class Number(Kind):
    minimum: float = attrs.field(default=-math.inf, converter=plain_numbers)
    maximum: float = attrs.field(default=math.inf, converter=plain_numbers)
    above: float | None = attrs.field(default=None, converter=plain_numbers)
    below: float | None = attrs.field(default=None, converter=plain_numbers)
    whole: bool = False
    of: tuple[int, ...] = ()
    """The only numbers that it accepts, if not empty."""

    @property
    def expects(self) -> str:
        """What the field takes, for messages: `a number of at least 0 or `auto``."""
        if self.of:
            return " or ".join([*map(str, self.of), *(f"`{word}`" for word in self.words)])
        limits = {"above": self.above, "of at least": self.minimum, "below": self.below, "of at most": self.maximum}
        bounds = [f"{what} {written(at)}" for what, at in limits.items() if at is not None and math.isfinite(at)]
        bounded = " and ".join(bounds).replace("and of at", "and at")
        number = f"{'a whole number' if self.whole else 'a number'} {bounded}".strip()
        return " or ".join([number, *(f"`{word}`" for word in self.words)])

    def read(self, word: Word, reading: FieldContext) -> Any:
        if word.kind == "name" and word.text in self.words:
            return word.text
        value, unfit = word.value, f"takes {self.expects}, not `{word.text}`"
        if isinstance(value, str) or not math.isfinite(value):
            raise InvalidValue("E023", unfit)
        if value == 0 and word.is_nonzero:
            raise InvalidValue("E023", f"{unfit}, which is too close to 0 to tell from it")
        if self.whole and (word.kind == "percent" or value != int(value)):
            raise InvalidValue("E023", unfit)
        if not self._within(value):
            raise InvalidValue("E024", unfit)
        return int(value) if self.whole else value + 0.0  # -0 is 0

    def _within(self, value: float) -> bool:
        inside = self.minimum <= value <= self.maximum and (not self.of or value in self.of)
        return inside and (self.above is None or value > self.above) and (self.below is None or value < self.below)

    def holds(self, value: Any) -> bool:
        if isinstance(value, str):
            return value in self.words
        number = isinstance(value, int if self.whole else (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value) and self._within(value)

    def write(self, value: Any) -> str:
        return value if isinstance(value, str) else written(value)

    def identity(self, value: Any) -> Any:
        if value is None or self.whole or isinstance(value, str):
            return value
        return float(value)  # a trick's default may be the integer 1


@attrs.frozen
class Numbers(Kind):
    """One or more numbers in increasing order, or one of the given ``counts`` of numbers in any order."""

    many: ClassVar[bool] = True
    each: Number
    counts: tuple[int, ...] = ()

    @property
    def expects(self) -> str:
        if self.counts:
            return f"{' or '.join(map(str, self.counts))} numbers, each {self.each.expects}"
        return f"increasing numbers, each {self.each.expects}"

    def takes_more(self, values: tuple[Any, ...]) -> bool:
        return not self.counts or len(values) < max(self.counts)

    def may_follow(self, value: Any, before: Any) -> bool:
        return bool(self.counts) or value > before

    def holds(self, value: Any) -> bool:
        numbers = isinstance(value, tuple) and len(value) > 0 and all(map(self.each.holds, value))
        if self.counts:
            return numbers and len(value) in self.counts
        return numbers and [*value] == sorted({*value})

    def read(self, word: Word, reading: FieldContext) -> Any:
        return self.each.read(word, reading)

    def identity(self, value: Any) -> Any:
        return None if value is None else [self.each.identity(number) for number in value]

    def write(self, value: Any) -> str:
        return " ".join(self.each.write(number) for number in value)


@attrs.frozen
class Choice(Kind):
    """One of some words. ``refused`` has reasons for not accepting others that people know."""

    refused: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)

    @property
    def expects(self) -> str:
        return "one of " + ", ".join(f"`{word}`" for word in self.words)

    def holds(self, value: Any) -> bool:
        return value in self.words

    def takes_name(self, name: str) -> bool:
        return self.knows(name) or name in self.refused

    def read(self, word: Word, reading: FieldContext) -> Any:
        known = f"use one of {listing(self.words)}"
        if word.kind == "name" and word.text in self.refused:
            raise InvalidValue("E021", f"does not accept `{word.text}`: {self.refused[word.text]}")
        if word.kind != "name":
            raise InvalidValue("E023", f"takes a word, not `{word.text}`", known)
        if word.text not in self.words:
            raise InvalidValue("E021", f"does not accept `{word.text}`", did_you_mean(word.text, self.words, known))
        return word.text


@attrs.frozen
class Architecture(Choice):
    """A name from a list, or any name with a given prefix, which is not looked up here: ``timm:resnet50d``."""

    prefixes: tuple[str, ...] = ()

    def knows(self, name: str) -> bool:
        return name in self.words or name.startswith(self.prefixes)

    def read(self, word: Word, reading: FieldContext) -> Any:
        if word.kind == "name" and word.text.startswith(self.prefixes):
            if word.text in self.prefixes:
                raise InvalidValue("E021", f"needs a model name after `{word.text}`")
            return word.text
        return super().read(word, reading)


@attrs.frozen
class Metric(Choice):
    """The name of a metric: one that every evaluation has, or one of a trick, which is looked up later."""

    @property
    def expects(self) -> str:
        *first, last = (f"`{word}`" for word in self.words)
        return f"the name of a metric, such as {', '.join(first)} or {last}"

    def takes_name(self, name: str) -> bool:
        return True

    def holds(self, value: Any) -> bool:
        return isinstance(value, str)

    def read(self, word: Word, reading: FieldContext) -> Any:
        if word.kind != "name":
            raise InvalidValue("E023", f"takes {self.expects}, not `{word.text}`")
        return word.text


def _expanded(word: Word) -> str:
    """Return a path with the user's home folder instead of ``~``, as shells do. Raises `InvalidValue` without one."""
    text = str(word.value)
    found = os.path.expanduser(text) if text.startswith("~") else text
    if found == text and text.startswith("~"):
        help = 'write its path, or `"./~…"` for a folder of that name'
        raise InvalidValue("E023", f"takes a path, and there is no home folder for `{text.split('/')[0]}`", help)
    return found


def _absolute(word: Word, reading: FieldContext, expects: str) -> Path:
    """Return the path that a string names, relative to the recipe's folder. Raises `InvalidValue` for anything else."""
    if word.kind != "string":
        raise InvalidValue("E023", f"takes {expects}, not `{word.text}`", f'write `"{word.text}"`')
    path = (reading.folder / _expanded(word)).absolute()
    if not word.value:
        raise InvalidValue("E023", "takes a path, not an empty string")
    if UNWRITABLE.search(str(path)):  # a canonical recipe couldn't state it
        raise InvalidValue("E023", "takes a path that is plain text on one line")
    return path


@attrs.frozen
class FilePath(Kind):
    """A path, stored as an absolute path. ``name=True`` also accepts a bare name, which is left unchanged.

    So is a string with one of the ``prefixes``, such as ``hf_hub:``.
    """

    name: bool = False
    prefixes: tuple[str, ...] = ()

    @property
    def expects(self) -> str:
        return "a name or a path in quotes" if self.name else "a path in quotes"

    def takes_name(self, name: str) -> bool:
        return self.name

    def read(self, word: Word, reading: FieldContext) -> Any:
        if word.kind == "name" and self.name:
            return word.text
        text = str(word.value)
        if word.kind == "string" and text.startswith(self.prefixes) and not UNWRITABLE.search(text):
            return text
        return str(_absolute(word, reading, self.expects))

    def write(self, value: Any) -> str:
        bare = self.name and not Path(value).is_absolute() and not value.startswith(self.prefixes)
        return value if bare else quoted(value)


@attrs.frozen
class ShareOrPath(FilePath):
    """A part of a whole, such as ``20%``, stored as a number, or a path."""

    @property
    def expects(self) -> str:
        return "a percentage above 0 and below 100, or a path in quotes"

    def read(self, word: Word, reading: FieldContext) -> Any:
        return _share(word, reading, self.expects) if _is_number(word) else super().read(word, reading)

    def holds(self, value: Any) -> bool:
        return isinstance(value, str) or SHARE.holds(value)

    def write(self, value: Any) -> str:
        return super().write(value) if isinstance(value, str) else SHARE.write(value)


SHARE = Number(above=0, below=1)
"""A part of a whole."""


def _is_number(word: Word) -> bool:
    return word.kind in ("number", "percent")


def _share(word: Word, reading: FieldContext, expects: str) -> float:
    try:
        return float(SHARE.read(word, reading))
    except InvalidValue as error:
        raise InvalidValue(error.code, f"takes {expects}, not `{word.text}`") from None


@attrs.frozen
class Text(Kind):
    """A text in quotes. ``what`` says what it is: `the address of a module`."""

    what: str
    check: Callable[[str], object] | None = None
    """Raises `ValueError` for a text that does not fit."""

    @property
    def expects(self) -> str:
        return f"{self.what}, in quotes"

    def read(self, word: Word, reading: FieldContext) -> Any:
        if word.kind != "string":
            raise InvalidValue("E023", f"takes {self.expects}, not `{word.text}`", f'write `"{word.text}"`')
        if not word.value:
            raise InvalidValue("E023", f"takes {self.what}, not an empty string")
        if UNWRITABLE.search(str(word.value)):  # a canonical recipe couldn't state it
            raise InvalidValue("E023", f"takes {self.what}, as plain text on one line")
        if self.check is not None:
            try:
                self.check(str(word.value))
            except ValueError as error:
                raise InvalidValue("E023", f"does not take `{word.value}`: {error}") from None
        return word.value

    def write(self, value: Any) -> str:
        return quoted(value)


@attrs.frozen
class ShareOrText(Text):
    """A part of a whole, such as ``20%``, stored as a number, or a text in quotes."""

    @property
    def expects(self) -> str:
        return f"a percentage above 0 and below 100, or {self.what}, in quotes"

    def read(self, word: Word, reading: FieldContext) -> Any:
        return _share(word, reading, self.expects) if _is_number(word) else super().read(word, reading)

    def holds(self, value: Any) -> bool:
        return isinstance(value, str) or SHARE.holds(value)

    def write(self, value: Any) -> str:
        return super().write(value) if isinstance(value, str) else SHARE.write(value)


@attrs.frozen
class Address(Text):
    """The address of a module in the model, which is looked up when the recipe is compiled."""

    what: str = "the address of a module"


@attrs.frozen
class Teacher(Kind):
    """Another recipe, which is bound with this one: its path or its text, or the folder of a run."""

    expects = "the path of a recipe or of a run's folder, or the text of a recipe, in quotes"

    def read(self, word: Word, reading: FieldContext) -> Any:
        named = str(_absolute(word, reading, self.expects))
        text = _expanded(word)
        is_path = os.path.isabs(text) or names_file(text) or os.path.exists(named)
        if not is_path and re.search(r"[;\s]", text.strip()):
            named = text
        return LazyValue(lambda: reading.bind(named, word))

    def write(self, value: Any) -> str:
        return quoted(value.path)

    def identity(self, value: Any) -> Any:
        return value.digest
