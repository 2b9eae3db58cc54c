"""What is known of a recipe when its tricks are asked for suggestions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class SuggestContext:
    """What is known of a recipe before its fields have values.

    ``given`` has the words of each trick that the recipe states, such as ``"lr warmup"``, and for each the values that
    it gives, by the names of fields as a recipe writes them: ``{"data folder": {"on-error": "skip"}}``. What a dialect
    implies is not in it, and neither is a teacher, which is read later.
    """

    dialect: str
    given: Mapping[str, Mapping[str, Any]]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the tricks that the recipe states, sorted."""
        return tuple(sorted(self.given))
