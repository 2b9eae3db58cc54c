"""The plan: what a recipe means, as ordered tricks with typed values and their origins. Works without torch."""

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
from recipe.base.wording import plural
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import Evidence
from recipe.plugins.field_contracts import ModelFields
from recipe.plugins.progress import Progress
from recipe.plugins.uses import PlanView, Use
from recipe.plugins.vocabulary import Vocabulary

SCHEMA_VERSION = 1


@attrs.frozen(slots=False, kw_only=True)
class Plan(PlanView):
    """What a recipe means: its tricks in the order in which they apply, and the training settings that they make.

    Two recipes that mean the same have equal plans and the same ``digest``.
    """

    makers: Mapping[str, Sequence[Use]] = attrs.field(eq=False, repr=False)
    """The tricks that make each training setting, in order."""
    warnings: tuple[Diagnostic, ...] = attrs.field(default=(), eq=False)
    """The warnings that its tricks report."""
    evidence: tuple[tuple[Use, Evidence], ...] = attrs.field(default=(), eq=False, repr=False)
    """The published evidence about its tricks."""
    sources: tuple[Source, ...] = attrs.field(eq=False, repr=False)
    """The sources that the plan was bound from."""
    vocabulary: Vocabulary = attrs.field(eq=False, repr=False)
    """The vocabulary that it was bound against."""
    barred: tuple[str, ...] = attrs.field(default=(), eq=False)
    """The words of the tricks that the recipe drops, so that no suggestion adds them."""
    counted: Mapping[str, int] = attrs.field(factory=dict, eq=False, repr=False)
    """For the plan of a run: the numbers of classes and training images that it recorded, by hook."""

    def __repr__(self) -> str:
        return f"Plan({self.model}: {plural(len(self.uses), 'trick')}, dialect {self.dialect}, digest {self.digest})"

    def maker(self, setting: str) -> str:
        """Return the words of the trick that makes a training setting, before other tricks change it.

        Add a value to get its statement: ``f"{plan.maker('epochs')} 5"``.
        """
        return self.makers[setting][0].word

    @property
    def asked_classes(self) -> int | None:
        """The number of classes that the recipe requests from the stock model."""
        return ModelFields.of(self.base.trick).classes

    def count(self, hook: str) -> int | None:
        """Return the number of classes or training images, by hook, or None if unknown or if there are no images.

        Those of a run are the ones that it recorded. Raises `RecipeError` (E070) if the images can't be read.
        """
        if hook in self.counted:
            return self.counted[hook]
        if self.images is None:
            return None
        try:
            return call_hook(self.images, hook)  # type: ignore[no-any-return]
        except (OSError, ValueError) as error:
            at = self.images.named_in(str(error)) or self.images.source
            raise fail("E070", f"`{self.images.word}`: {error}", at) from error

    def in_force(self, progress: Progress) -> Progress:
        """Return the progress that the learning rate at a step depends on: an earlier one if it changes by epoch."""
        if not self.training.rate_per_epoch or progress.epoch < progress.warmup:
            return progress
        # During the warmup, the rate still rises with every batch. After it, the rate is constant for each epoch.
        risen = math.ceil(progress.warmup * progress.steps_per_epoch)
        begun = int(progress.epoch) * progress.steps_per_epoch
        return attrs.evolve(progress, step=max(begun, risen))

    def learning_rate(self, progress: Progress) -> float:
        """Return the learning rate at a step: the base rate times the factors of all tricks that have one."""
        progress = self.in_force(progress)
        factors = (call_hook(use, "lr_factor", progress) for use in self.hooked("lr_factor"))
        return math.prod(factors, start=self.training.rate)

    @property
    def _in_reading_order(self) -> list[Use]:
        return sorted(self.uses, key=lambda use: use.declared.reading_key)

    def canonical(self) -> str:
        """Return the canonical recipe: every value explicit, one statement per line. It binds to an equal plan."""
        drops = (f"drop {word}" for word in self.barred)
        lines = [f"dialect {self.dialect}", *drops, *(use.statement() for use in self._in_reading_order)]
        return "".join(f"{line}\n" for line in lines)

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the meaning, regardless of origins and formatting.

        They cover what can change the result of a training. Values that are None don't count, so that a field that a
        trick gets later leaves existing digests unchanged. So does renaming a trick.
        """
        counted = (use for use in self._in_reading_order if use.declared.result)
        uses = [[use.declared.formerly or use.word, use.identity()] for use in counted]
        return digest(json.dumps(["v2", self.dialect, uses], sort_keys=True).encode())

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
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
                            "value": field.kind.identity(use.value(field)),
                            "origin": use.origin_of(field),
                        }
                        for field in use.fields
                    },
                }
                for use in self.uses
            ],
        }
