"""The tricks of a plan, with the origin of each of their values, and what a trick may ask of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from recipe.base.source import Span
from recipe.plugins.settings import Training
from recipe.plugins.trick import Declared, Trick


@attrs.frozen
class Origin:
    """Where a value comes from: a place in a file or on the command line, a suggestion, a dialect, or a default."""

    kind: str  # "file", "override", "suggestion", "dialect" or "default"
    text: str
    span: Span | None = attrs.field(default=None, eq=False, repr=False)

    def __str__(self) -> str:
        return self.text


@attrs.frozen
class Use:
    """One trick of a plan, with the origin of each of its fields."""

    trick: Trick
    origins: Mapping[str, Origin] = attrs.field(eq=False)
    origin: Origin = attrs.field(eq=False)
    declared: Declared = attrs.field(eq=False, repr=False)
    """What the trick declares, with what the plan's vocabulary knows of it: its package, and where its verb is read."""

    @property
    def word(self) -> str:
        return self.declared.word

    @property
    def span(self) -> Span | None:
        return self.origin.span

    @property
    def values(self) -> dict[str, Any]:
        return {field.name: getattr(self.trick, field.name) for field in self.declared.fields}

    @property
    def first(self) -> str:
        """Its first value, as a model's name; its words, where it has none."""
        return str(next(iter(self.values.values()), self.word))

    def place(self, field: str) -> Span | None:
        """The place in the recipe that gives a field its value; that of its words, where none does."""
        origin = self.origins.get(field)
        return (origin and origin.span) or self.span

    def statement(self) -> str:
        """This trick as a statement that states every value which can be stated."""
        parts, skipped = [self.word], False
        for field in self.declared.fields:
            value = getattr(self.trick, field.name)
            if value is None:
                skipped = True  # what follows must not take its place
                continue
            text = field.kind.write(value)
            parts.append(text if field.required and not skipped else f"{field.word}={text}")
        return " ".join(parts)


@attrs.frozen
class PlanView:
    """A plan, as far as a trick may look at it; `recipe.plan.plan.Plan` has it all."""

    dialect: str
    uses: tuple[Use, ...]
    """Its tricks, in the order in which they apply."""
    training: Training = attrs.field(eq=False)
    """The settings that all tricks have agreed on."""

    @property
    def base(self) -> Use:
        """The trick that builds the stock model, whatever its verb."""
        return next(use for use in self.uses if use.trick.overrides("build"))

    @property
    def model(self) -> str:
        """The name of the stock model, as the recipe says it."""
        return self.base.first

    def find(self, word: str) -> Use | None:
        """The trick of exactly these words."""
        return next((use for use in self.uses if use.word == word), None)

    def use(self, verb: str) -> Use | None:
        """The first trick of a verb, whatever its clause."""
        return next((use for use in self.uses if use.declared.verb == verb), None)
