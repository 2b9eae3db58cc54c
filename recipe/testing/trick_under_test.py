"""A trick under test: its statements, and the recipes in which it shows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import attrs

from recipe.base.errors import RecipeError
from recipe.plugins.fields import Field
from recipe.plugins.trick import Declared, Trick
from recipe.plugins.vocabulary import Vocabulary, key_of
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import BASE, SETTINGS, Case, Harness
from recipe.testing.samples import fits, pairs, samples

COMPANIES: tuple[tuple[str, str], ...] = (
    ("small", ""),
    ("first", ""),
    ("aided", ""),
    ("small", "lr cosine"),
    ("small", "decay 0.5"),
    ("small", "loss smooth 0.1; augment mixup 1"),
    ("small", "dialect torchvision"),
    ("", "base squeezenet1_1; lr 1e-4"),
)
"""Networks and company in which it is looked whether a trick shows, until it does."""

BROKEN = {"E080", "E081", "E105", "E104"}
"""Errors that are a trick's own fault, in whatever recipe it is."""


def stated(trick: type[Trick], bench: Harness, changed: str = "", value: str = "") -> str:
    """A trick as a statement, with its required fields, and one more field that has a value."""
    parts = [trick.declared.word]
    for field in trick.declared.fields:
        if field.name == changed:
            parts.append(f"{field.word}={value}")
        elif (found := _stated(trick, field, bench)) is not None:
            parts.append(f"{field.word}={found}")
    return " ".join(parts)


def _stated(trick: type[Trick], field: Field, bench: Harness) -> str | None:
    """What every recipe gives a field; None where that is nothing."""
    name = f"{trick.declared.word} {field.word}"
    if name in bench.values:
        return bench.values[name][0]
    if field.name == "size" and trick.open is not Trick.open and fits(field.kind, "32"):
        return "32"
    if not field.required:
        return None
    found = samples(field)
    if not found:
        raise Skipped(f"give two values for `{name}`, which {field.kind.expects} can't be guessed for: {how(name)}")
    return found[0]


def how(name: str) -> str:
    """How the authors of a trick give values."""
    return f'`--value "{name}=ONE,OTHER"`, or `values` from Python and pytest'


@attrs.frozen(eq=False, slots=False)
class TrickUnderTest:
    """A trick under test."""

    trick: type[Trick]
    bench: Harness

    @property
    def declared(self) -> Declared:
        return self.trick.declared

    @property
    def word(self) -> str:
        return self.trick.declared.word

    @property
    def vocabulary(self) -> Vocabulary:
        return self.bench.vocabulary

    def overrides(self, *hooks: str) -> bool:
        """Whether the trick implements one of some hooks."""
        return any(getattr(self.trick, hook) is not getattr(Trick, hook) for hook in hooks)

    def statement(self, changed: str = "", value: str = "") -> str:
        """The trick as a statement; raises `Skipped` where a required field has no value that can be guessed."""
        return stated(self.trick, self.bench, changed, value)

    def pairs(self, field: Field) -> list[tuple[str, str]]:
        """Pairs of values of a field to compare; raises `Skipped` where there are none that can be guessed."""
        name = f"{self.word} {field.word}"
        if name in self.bench.values:
            return [self.bench.values[name]]
        if field.name == "workers" and self.overrides("open"):
            return [("0", "2")]
        found = list(pairs(field))
        if not found:
            raise Skipped(f"give two values for `{name}`, which can't be guessed: {how(name)}")
        return found

    def cases(self, field: Field | None = None) -> Iterator[Case]:
        """Recipes in which the trick may show, without it; what its authors name comes first."""
        names = [self.word] if field is None else [f"{self.word} {field.word}", self.word]
        given = [self.bench.company[name] for name in names if name in self.bench.company]
        needed = "; ".join(stated(self.vocabulary.load(*key_of(need)), self.bench) for need in self.declared.needs)
        for network, company in [*(("small", text) for text in given), *COMPANIES]:
            if self.overrides("build"):
                network = ""
            layers = (SETTINGS,) if self._brings_images else (BASE,)
            yield Case(layers, network).over(needed, company)

    @cached_property
    def home(self) -> Case:
        """A recipe in which the trick shows, without it; else one in which it can be trained at all.

        Raises `Unmet` where there is none, and `Skipped` where its values can't be guessed.
        """
        statement, working, reasons = self.statement(), None, list[RecipeError]()
        for case in self.cases():
            try:
                outcome = self.bench.outcome(case.over(statement))
            except RecipeError as error:
                if BROKEN & {diagnostic.code for diagnostic in error.diagnostics}:
                    raise Unmet(f"`{statement}` breaks a training:\n{error}") from None
                reasons.append(error)
                continue
            if not outcome.diverged and (self._settled(case) or self._differs(case, outcome)):
                return case
            working = working or case
        if working is None:
            message = f"`{statement}` can't be trained in any recipe of the kit; say what it needs by `company`"
            raise Unmet(f"{message}. The first one says:\n{reasons[0]}")
        return working

    @property
    def _brings_images(self) -> bool:
        """Whether it opens images by a verb of its own, beside which a recipe names no others."""
        return self.overrides("open") and self.declared.verb != "data"

    @property
    def within(self) -> Case:
        """That recipe with the trick."""
        return self.home.over(self.statement())

    def _settled(self, case: Case) -> bool:
        """Whether a recipe has the trick anyway, so that its fields alone can show, or nothing without it."""
        if self.overrides("build") or self._brings_images:
            return True
        return bool(self.declared.fields) and self.bench.plan(case).find(self.word) is not None

    def _differs(self, case: Case, outcome: object) -> bool:
        try:
            return self.bench.outcome(case) != outcome
        except RecipeError:
            return False

    @property
    def shows(self) -> bool:
        """Whether the trick shows in its home."""
        return self._settled(self.home) or self._differs(self.home, self.bench.outcome(self.within))
