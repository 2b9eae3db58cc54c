"""A trick under test: its statements, and the recipes in which it has an effect."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cached_property

import attrs

from recipe.base.errors import RecipeError
from recipe.language.ast import quoted
from recipe.plugins.declared import Declared
from recipe.plugins.fields import Field
from recipe.plugins.kinds import (
    SHARE,
    Address,
    Architecture,
    Choice,
    Number,
    Numbers,
    ShareOrPath,
    ShareOrText,
    written,
)
from recipe.plugins.trick import Trick
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import key_of
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import BASE, SETTINGS, Case, Harness

COMPANIES: tuple[tuple[str, str], ...] = (
    ("small", ""),
    ("first", ""),
    ("aided", ""),
    ("small", "lr cosine"),
    ("small", "decay 0.5"),
    ("small", "loss smooth 0.1; augment mixup 1"),
    ("small", "dialect torchvision"),
    ("small", "epochs 25"),
    ("", "base squeezenet1_1; lr 1e-4"),
)
"""Networks and further statements to try, in this order, until a trick has an effect.

The four steps of most test runs end at 75 % of the training. The 50 of the one with more epochs end at 98 %.
"""

BROKEN = {"E080", "E081", "E105", "E104"}
"""Errors that are always a bug in the trick, not in the recipe."""

LARGEST = 4
"""The largest integer to try, such as a number of epochs, unless twice the default is larger."""

PAIRS = 8
"""The maximum number of pairs of values to try per field."""


ADDRESSES = ("layer1", "bn1")
"""Addresses of modules that the test networks have."""


@attrs.frozen(eq=False, slots=False)
class TrickUnderTest:
    """A trick under test, by its words."""

    word: str
    bench: Harness

    @cached_property
    def trick(self) -> type[Trick]:
        return self.bench.vocabulary.load(*key_of(self.word))

    @property
    def declared(self) -> Declared:
        return self.trick.declared

    def overrides(self, *hooks: str) -> bool:
        """Whether the trick implements any of these hooks."""
        return any(getattr(self.trick, hook) is not getattr(Trick, hook) for hook in hooks)

    def having(self, *hooks: str, otherwise: str) -> list[str]:
        """Return the hooks that the trick implements. Raises `Skipped` if there are none."""
        own = [hook for hook in hooks if self.overrides(hook)]
        if not own:
            raise Skipped(otherwise)
        return own

    def statement(self, changed: str = "", value: str = "") -> str:
        """Return the trick as a statement with its required fields, and optionally one more field with a value.

        Raises `Skipped` if the value of a required field can't be guessed.
        """
        parts = [self.word]
        for field in self.declared.fields:
            said = value if field.name == changed else self._said(field)
            if said is not None:
                parts.append(f"{field.word}={said}")
        return " ".join(parts)

    def _said(self, field: Field) -> str | None:
        """Return the value of a field in every test recipe, or None if it is left out."""
        name = f"{self.word} {field.word}"
        if name in self.bench.values:
            return self.bench.values[name][0]
        if field.name == "size" and self.overrides("open") and field.kind.holds(32):
            return "32"
        if not field.required:
            return None
        guessed = samples(field)
        if not guessed:
            raise Skipped(f"can't guess {field.kind.expects} for `{name}`; provide two values: {how(name)}")
        return guessed[0]

    def pairs(self, field: Field) -> list[tuple[str, str]]:
        """Return pairs of values of a field to compare, the most promising first.

        Raises `Skipped` if no values can be guessed.
        """
        name = f"{self.word} {field.word}"
        if name in self.bench.values:
            return [self.bench.values[name]]
        if field.name == "workers" and self.overrides("open"):
            return [("0", "2")]
        guessed = list(itertools.islice(itertools.combinations(samples(field), 2), PAIRS))
        if not guessed:
            raise Skipped(f"can't guess values for `{name}`; provide two values: {how(name)}")
        return guessed

    def cases(self, field: Field | None = None) -> Iterator[Case]:
        """Yield recipes, without the trick, in which it may have an effect. The `company` of its authors goes first."""
        names = [self.word] if field is None else [f"{self.word} {field.word}", self.word]
        given = [("small", self.bench.company[name]) for name in names if name in self.bench.company]
        needed = "; ".join(TrickUnderTest(need, self.bench).statement() for need in self.declared.needs)
        for network, company in (*given, *COMPANIES):
            layers = (SETTINGS,) if self._brings_images else (BASE,)
            yield Case(layers, "" if self.overrides("build") else network).over(needed, company)

    @cached_property
    def home(self) -> Case:
        """A recipe in which the trick has an effect, or at least trains, without the trick.

        Raises `Unmet` if there is no such recipe, and `Skipped` if the trick's values can't be guessed.
        """
        statement, working, reasons = self.statement(), None, list[RecipeError]()
        for case in self.cases():
            try:
                outcome = self.bench.outcome(case.over(statement))
            except RecipeError as error:
                if BROKEN & {diagnostic.code for diagnostic in error.diagnostics}:
                    raise Unmet(f"`{statement}` breaks training:\n{error}") from None
                reasons.append(error)
                continue
            if not outcome.diverged and self._shows_in(case):
                return case
            working = working or case
        if working is None:
            message = f"`{statement}` can't be trained in any test recipe; name the statements it needs in `company`"
            raise Unmet(f"{message}. The first recipe fails with:\n{reasons[0]}")
        return working

    @property
    def within(self) -> Case:
        """The home recipe with the trick."""
        return self.home.over(self.statement())

    @cached_property
    def use(self) -> Use:
        """The trick in the plan of `within`."""
        use = self.bench.plan(self.within).find(self.word)
        assert use is not None
        return use

    @property
    def shows(self) -> bool:
        """Whether the trick has an effect in its home recipe."""
        return self._shows_in(self.home)

    def _shows_in(self, case: Case) -> bool:
        """Whether the trick changes the outcome of a recipe.

        Always true for a recipe that already contains the trick, since only its fields can matter there, and for a
        recipe that can't do without it.
        """
        if self.overrides("build") or self._brings_images:
            return True
        if self.declared.fields and self.bench.plan(case).find(self.word):
            return True
        try:
            return self.bench.outcome(case) != self.bench.outcome(case.over(self.statement()))
        except RecipeError:
            return False

    @property
    def _brings_images(self) -> bool:
        """Whether the trick opens images with its own verb, so that the recipe needs no other dataset."""
        return self.overrides("open") and self.declared.verb != "data"


def how(name: str) -> str:
    """Describe how the authors of a trick provide values."""
    return f'`--value "{name}=ONE,OTHER"`, or `values` from Python and pytest'


def samples(field: Field) -> list[str]:
    """Return values in recipe syntax: the default if there is one, then others. Empty if the kind suggests none."""
    kind, default = field.kind, field.default
    if isinstance(kind, Choice) and not isinstance(kind, Architecture):
        values = [default, *kind.words] if default in kind.words else [*kind.words]
    elif isinstance(kind, Numbers):
        each = _numbers(kind.each, None)
        several = [" ".join([value] * count) for count in kind.counts or (1,) for value in each]
        values = [*([kind.write(default)] if default else []), *several]
    elif isinstance(kind, Number):
        values = _numbers(kind, default)
    elif isinstance(kind, (ShareOrPath, ShareOrText)):
        values = _numbers(SHARE, None)
    elif isinstance(kind, Address):
        values = [quoted(address) for address in ADDRESSES]
    else:
        values = []
    return list(dict.fromkeys(values))


def _numbers(kind: Number, default: object) -> list[str]:
    """Return the default, other numbers that the kind accepts, then its words, all in recipe syntax."""
    first = float(default) if isinstance(default, (int, float)) else 1.0
    if kind.whole:
        tried = [first, first // 2, 2 * first, 2.0, 1.0, 4.0, kind.minimum, 0.0]
        tried = [number for number in tried if number <= max(2 * first, LARGEST)] or [kind.minimum]
    else:
        tried = [first, first / 2, 2 * first, kind.minimum, kind.maximum, 0.5, 0.25, 0.1, 1.5, 0.0]
    tried = [number for number in tried if abs(number) < 1e9]
    has = [number for number in tried if kind.holds(int(number) if kind.whole else number) or number == default]
    return [*map(written, has), *kind.words]
