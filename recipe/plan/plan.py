"""The plan: what a recipe means. Typed, ordered, every value with its origin; needs no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import fail
from recipe.base.identity import digest
from recipe.base.source import Source
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import Evidence
from recipe.plugins.field_contracts import ImageFields, ModelFields
from recipe.plugins.progress import Progress
from recipe.plugins.uses import PlanView, Use
from recipe.plugins.vocabulary import Vocabulary

SCHEMA_VERSION = 1


@attrs.frozen(slots=False, kw_only=True)
class Plan(PlanView):
    """What a recipe means: its tricks in the order in which they apply, and the settings they agree on.

    Two recipes that mean the same have equal plans, and the same ``digest``.
    """

    makers: Mapping[str, Sequence[Use]] = attrs.field(eq=False, repr=False)
    """The tricks that make each setting of the training, in their order."""
    warnings: tuple[Diagnostic, ...] = attrs.field(default=(), eq=False)
    evidence: tuple[tuple[Use, Evidence], ...] = attrs.field(default=(), eq=False, repr=False)
    """What published tables say of its tricks."""
    sources: tuple[Source, ...] = attrs.field(eq=False, repr=False)
    """What the plan was bound from."""
    vocabulary: Vocabulary = attrs.field(eq=False, repr=False)
    """The vocabulary it was bound with."""

    def maker(self, setting: str) -> str:
        """The words of the trick that makes a setting of the training, before others change it.

        A value after them is its statement: ``f"{plan.maker('epochs')} 5"``.
        """
        return self.makers[setting][0].word

    def hooked(self, hook: str) -> tuple[Use, ...]:
        """The uses of tricks that implement a hook, in order."""
        return tuple(use for use in self.uses if use.trick.overrides(hook))

    @property
    def images(self) -> Use | None:
        """The trick that opens the images, whatever its verb; None where the recipe names none."""
        return next(iter(self.hooked("open")), None)

    @property
    def image_fields(self) -> ImageFields | None:
        """What that trick says of the images: their size, and how they are loaded."""
        return ImageFields.of(self.images.trick) if self.images else None

    @property
    def asked_classes(self) -> int | None:
        """The number of classes that the recipe asks the stock model for."""
        return ModelFields.of(self.base.trick).classes

    def count(self, hook: str) -> int | None:
        """The number of classes, or of training images, of its images; None where there are none, or can't be asked.

        Raises `RecipeError` (E070) where they can't be read.
        """
        if self.images is None:
            return None
        try:
            return call_hook(self.images, hook)  # type: ignore[no-any-return]
        except (OSError, ValueError) as error:
            raise fail("E070", f"`{self.images.word}`: {error}", self.images.span) from error

    def learning_rate(self, progress: Progress) -> float:
        """The learning rate at a step: the base rate times the factor of every trick that has one."""
        if self.training.rate_per_epoch and progress.epoch >= progress.warmup:
            # Inside the warmup the rate rises with each batch all the same; after it, it holds for a whole epoch.
            risen = math.ceil(progress.warmup * progress.steps_per_epoch)
            begun = int(progress.epoch) * progress.steps_per_epoch
            progress = attrs.evolve(progress, step=max(begun, risen))
        factors = (call_hook(use, "lr_factor", progress) for use in self.hooked("lr_factor"))
        return math.prod(factors, start=self.training.rate)

    @property
    def _in_reading_order(self) -> list[Use]:
        return sorted(self.uses, key=lambda use: use.declared.reading_key)

    def canonical(self) -> str:
        """The canonical recipe: every value explicit, one statement a line; it binds to an equal plan."""
        lines = [f"dialect {self.dialect}", *(use.statement() for use in self._in_reading_order)]
        return "".join(f"{line}\n" for line in lines)

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the meaning; origins and writing do not count."""
        uses = [
            [use.word, {f.name: f.kind.identity(getattr(use.trick, f.name)) for f in use.declared.fields}]
            for use in self._in_reading_order
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
