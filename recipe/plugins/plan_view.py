"""What a trick may ask of the plan that it is part of; `recipe.plan.Plan` has it all."""

from __future__ import annotations

from typing import Any, Protocol

from recipe.plugins.settings import Training


class UseView(Protocol):
    """One trick of a plan."""

    @property
    def trick(self) -> Any:
        """The trick itself, with its values as attributes."""

    @property
    def word(self) -> str:
        """Its words, as a recipe writes them."""

    @property
    def values(self) -> dict[str, Any]:
        """Its values, by the names of its fields."""


class PlanView(Protocol):
    """A plan, as far as a trick may look at it."""

    @property
    def dialect(self) -> str:
        """The dialect of the recipe."""

    @property
    def model(self) -> str:
        """The name of the stock model, as the recipe says it."""

    @property
    def training(self) -> Training:
        """The settings that all tricks have agreed on."""

    def find(self, word: str) -> UseView | None:
        """The trick of exactly these words."""

    def use(self, verb: str) -> UseView | None:
        """The first trick of a verb, whatever its clause."""
