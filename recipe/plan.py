"""The plan: what a recipe means. Typed, ordered, every value with its origin; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs

from recipe.api import Declared, Trick
from recipe.evidence import Evidence
from recipe.fields import digest
from recipe.hooks import HOOKS
from recipe.slots import reading_key
from recipe.source import Source, Span
from recipe.training import Training

SCHEMA_VERSION = 1


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

    @property
    def declared(self) -> Declared:
        return self.trick.declared

    @property
    def word(self) -> str:
        return self.trick.declared.word

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


@attrs.frozen(slots=False)
class Plan:
    """What a recipe means: its tricks in the order in which they apply, and the settings they agree on.

    Two recipes that mean the same have equal plans, and the same ``digest``.
    """

    dialect: str
    uses: tuple[Use, ...]
    training: Training = attrs.field(eq=False)
    warnings: tuple[Any, ...] = attrs.field(default=(), eq=False)
    evidence: tuple[tuple[Use, Evidence], ...] = attrs.field(default=(), eq=False, repr=False)
    """What published tables say of its tricks."""
    sources: tuple[Source, ...] = attrs.field(default=(), eq=False, repr=False)
    """What the plan was bound from."""
    vocabulary: Any = attrs.field(default=None, eq=False, repr=False)
    """The vocabulary it was bound with."""

    def use(self, verb: str) -> Use | None:
        """The first use of a verb, whatever its clause."""
        return next((use for use in self.uses if use.declared.verb == verb), None)

    def find(self, word: str) -> Use | None:
        """The use of exactly these words."""
        return next((use for use in self.uses if use.word == word), None)

    def hooked(self, hook: str) -> tuple[Use, ...]:
        """The uses of tricks that implement a hook, in order."""
        return self._hooked[hook]

    @cached_property
    def _hooked(self) -> Mapping[str, tuple[Use, ...]]:
        return {hook: tuple(use for use in self.uses if use.trick.overrides(hook)) for hook in HOOKS}

    @property
    def base(self) -> Use:
        """The trick that builds the stock model, whatever its verb."""
        return self.hooked("build")[0]

    @property
    def model(self) -> str:
        """The name of the stock model, as the recipe says it."""
        return self.base.first

    @property
    def images(self) -> Use | None:
        """The trick that opens the images, whatever its verb; None where the recipe names none."""
        return next(iter(self.hooked("open")), None)

    def canonical(self) -> str:
        """The canonical recipe: every value explicit, one statement a line; it binds to an equal plan."""
        lines = [
            f"dialect {self.dialect}",
            *(use.statement() for use in sorted(self.uses, key=lambda use: reading_key(use.word))),
        ]
        return "".join(f"{line}\n" for line in lines)

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the meaning; origins and writing do not count."""
        uses = [
            [use.word, {f.name: f.kind.identity(getattr(use.trick, f.name)) for f in use.declared.fields}]
            for use in sorted(self.uses, key=lambda use: reading_key(use.word))
        ]
        return digest(json.dumps([self.dialect, uses], sort_keys=True).encode())

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "digest": self.digest,
            "dialect": self.dialect,
            "tricks": [
                {
                    "trick": use.word,
                    "origin": str(use.origin),
                    "values": {
                        field.word: {
                            "value": field.kind.identity(getattr(use.trick, field.name)),
                            "origin": str(use.origins[field.name]),
                        }
                        for field in use.declared.fields
                    },
                }
                for use in self.uses
            ],
        }
