"""The arguments of hooks, other than plans, settings and progress, and the `Evidence` that they return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    from torch import Tensor

Teach: TypeAlias = "Mapping[str, Callable[[Tensor], Tensor]]"
"""The teachers of a plan: a mapping from the digest of each to a function from inputs to its logits."""


@attrs.frozen
class Evidence:
    """One finding: what was measured, its table, and whether it is ``for`` or ``against`` the trick, or ``mixed``.

    `recipe check` warns about findings against a trick. `recipe explain` shows all findings.
    """

    verdict: str = attrs.field(validator=attrs.validators.in_(("for", "against", "mixed")))
    text: str
    table: str


@attrs.frozen
class SuggestContext:
    """What is known about a recipe before its fields have values.

    ``given`` maps the words of each trick that the recipe states, such as ``"lr warmup"``, to the values that the
    recipe gives it, by field name as recipes write it: ``{"data folder": {"on-error": "skip"}}``. It does not include
    values that a dialect implies, or teachers, which are read later.
    """

    dialect: str
    given: Mapping[str, Mapping[str, Any]]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the tricks that the recipe states, sorted."""
        return tuple(sorted(self.given))


@attrs.frozen(eq=False)
class LossContext:
    """The inputs of a loss term: logits (N, K) float32, target distributions (N, K), and images (N, 3, H, W).

    ``loss`` is the recipe's loss without loss terms: cross entropy unless a trick replaces it.
    """

    logits: Tensor
    targets: Tensor
    images: Tensor
    loss: Tensor
    teachers: Teach = attrs.field(factory=dict)

    def teach(self, digest: str) -> Tensor:
        """Return the logits (N, K) of the teacher whose plan has this digest, for the same inputs."""
        return self.teachers[digest](self.images)
