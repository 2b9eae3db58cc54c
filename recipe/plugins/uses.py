"""One trick of a plan, with the origin of each of its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from recipe.base.source import Span
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
