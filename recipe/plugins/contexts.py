"""What hooks look at, beside plans, settings and progress, and the `Evidence` that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    from torch import Tensor

Teach: TypeAlias = "Mapping[str, Callable[[Tensor], Tensor]]"
"""The teachers of a plan: from the digest of each to the function from inputs to its logits."""


@attrs.frozen
class Evidence:
    """One finding: what was measured, in which table, and whether it speaks ``for`` or ``against``, or is ``mixed``.

    What speaks against becomes a warning of `recipe check`; `recipe explain` shows all.
    """

    verdict: str = attrs.field(validator=attrs.validators.in_(("for", "against", "mixed")))
    text: str
    table: str


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


@attrs.frozen(eq=False)
class LossContext:
    """What a loss term may look at: logits (N, K) float32, target distributions (N, K), and the inputs (N, 3, H, W).

    ``loss`` is what the recipe makes of logits and targets without its terms: cross entropy where no trick judges.
    """

    logits: Tensor
    targets: Tensor
    images: Tensor
    loss: Tensor
    teachers: Teach = attrs.field(factory=dict)

    def teach(self, digest: str) -> Tensor:
        """The logits (N, K) of the teacher whose plan has this digest, for the same inputs."""
        return self.teachers[digest](self.images)
