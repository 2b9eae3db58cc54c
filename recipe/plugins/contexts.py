"""Arguments of hooks, other than plans, settings and progress, and what they return: `Evidence`, `Preprocessing`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import attrs

from recipe.base.channels import GRAY, RGB
from recipe.base.plain_numbers import plain_numbers

if TYPE_CHECKING:
    from torch import Tensor


class Teacher(Protocol):
    """A teacher, as a function from inputs (N, 3, H, W) to its logits (N, K)."""

    def __call__(self, inputs: Tensor) -> Tensor: ...

    def features(self, inputs: Tensor, address: str) -> Tensor:
        """Return the output of the layer at an address of the teacher, as float32."""


Teach: TypeAlias = "Mapping[str, Teacher]"
"""The teachers of a plan, by the digest of the plan of each."""


@attrs.frozen
class Evidence:
    """One published finding about a trick.

    `recipe check` warns about findings against a trick. `recipe explain` shows all findings.
    """

    verdict: str = attrs.field(validator=attrs.validators.in_(("for", "against", "mixed")))
    """Whether it is ``for`` or ``against`` the trick, or ``mixed``."""
    text: str
    """What was measured, with the figures."""
    table: str
    """The table and its source: ``"Table 5 of He et al. 2019"``."""
    figures: str = attrs.field(validator=attrs.validators.in_(("read", "recalled")))
    """Whether the figures were ``read`` in the source or are ``recalled``, and may differ in the last digit."""

    @property
    def source(self) -> str:
        """The table, and whether the figures were read there: ``"Table 5 of He et al. 2019 (figures recalled)"``."""
        return f"{self.table} (figures {self.figures})"


@attrs.frozen(kw_only=True)
class ParamPlace:
    """The place of a parameter in the model."""

    head: bool
    """Whether it is of a layer that computes the logits, or of an auxiliary head."""
    depth: int | None
    """The index of its layer in the stock model, from 0 at the input to ``layers - 1`` at the head. None if unknown.

    A model with timm's method ``group_matcher`` states its layers. Those of any other model are its residual blocks or,
    if it has none, its modules. A layer that a trick made has the depth of the layer that it replaced or is next to."""
    layers: int
    """The number of layers of the stock model, or 0 if unknown."""


def _of_channels(instance: Any, attribute: Any, values: tuple[float, ...] | None) -> None:
    if values is not None and len(values) not in (GRAY, RGB):
        raise ValueError(f"`{attribute.name}` must have three numbers, or one for gray images")


@attrs.frozen(kw_only=True)
class Preprocessing:
    """The inputs that pretrained weights were trained on. What is None is unknown."""

    mean: tuple[float, ...] | None = attrs.field(default=None, converter=plain_numbers, validator=_of_channels)
    """The mean of each channel, for pixels in [0, 1]: of three, or of gray alone."""
    std: tuple[float, ...] | None = attrs.field(default=None, converter=plain_numbers, validator=_of_channels)
    """The standard deviation of each channel, for pixels in [0, 1]."""
    size: int | None = attrs.field(default=None, converter=plain_numbers)
    """The height and width of the images in training, in pixels."""
    crop: float | str | None = attrs.field(default=None, converter=plain_numbers)
    """The part of the short side that evaluation keeps, or ``whole`` for all of the image, whatever its aspect ratio.
    Another text describes a crop that a recipe can't state, and begins with the part: ``0.9 of the squashed image``."""
    interpolation: str | None = None
    """How images are resized in training, such as ``bilinear``."""
    evaluation_size: int | None = attrs.field(default=None, converter=plain_numbers)
    """The height and width of the images in evaluation, in pixels, if they differ from those in training."""
    evaluation_interpolation: str | None = None
    """How images are resized in evaluation, if that differs from training."""
    assumed: bool = False
    """Whether these are the inputs of other weights of the model, since nothing states those of the weights."""

    @property
    def closest_crop(self) -> float | str | None:
        """The crop that a recipe can state and that is closest to these: a part, ``whole``, or None if unknown."""
        if isinstance(self.crop, str) and self.crop != "whole":
            part = re.match(r"\d+(\.\d+)?", self.crop)
            return min(float(part[0]), 1.0) if part else None
        return self.crop


@attrs.frozen
class SuggestContext:
    """What is known about a recipe before its fields have values."""

    dialect: str
    """The name of the recipe's dialect."""
    given: Mapping[str, Mapping[str, Any]]
    """The values that the recipe gives to each trick that it states, by the trick's words and the field's name as
    recipes write it: ``{"data folder": {"on-error": "skip"}}``. It does not include values that a dialect implies,
    or teachers, which are read later."""
    dropped: frozenset[str] = frozenset()
    """The words of the tricks that the recipe drops, so that suggestions for them are ignored."""
    continues_lock: bool = False
    """Whether the recipe changes the lock of a run, which already states what was suggested to the run."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the tricks that the recipe states, sorted."""
        return tuple(sorted(self.given))

    @property
    def verbs(self) -> frozenset[str]:
        """The verbs of these words."""
        return frozenset(word.partition(" ")[0] for word in self.given)


@attrs.frozen
class EvaluationResult:
    """The results of one evaluation on the held-out images."""

    epoch: float
    """The length of the training so far, in epochs."""
    step: int
    """The number of updates so far."""
    score: float
    """The metric that `keep best` compares, or `top1` without it. Higher is better: a lower-is-better metric is
    negated."""
    values: Mapping[str, float]
    """All results by name: ``loss``, ``top1`` and so on, and those of the hook `metrics`."""


@attrs.frozen(eq=False)
class LossContext:
    """The inputs of a loss term."""

    logits: Tensor
    """The logits of the model: float32 (N, K)."""
    targets: Tensor
    """The target distributions, mixed and smoothed as the recipe states: (N, K)."""
    images: Tensor
    """The inputs of the model: (N, 3, H, W)."""
    loss: Tensor
    """The recipe's loss without loss terms, one number: cross entropy unless a trick replaces it."""
    teachers: Teach = attrs.field(factory=dict)
    """A function from images to logits for each teacher, by the digest of its plan. See `teach`."""

    outputs: Mapping[str, Tensor] = attrs.field(factory=dict, repr=False)
    """The outputs of the layers that the trick's hook `features` names. See `features`."""

    def features(self, name: str) -> Tensor:
        """Return the output of a layer that the trick's hook `features` names, as float32: (N, C, H, W) or (N, C).

        Gradients flow back through it.
        """
        if name not in self.outputs:
            raise KeyError(f"the hook `features` names no `{name}`")
        return self.outputs[name].float()

    def teach(self, digest: str) -> Tensor:
        """Return the logits (N, K) of the teacher whose plan has this digest, for the same inputs."""
        return self.teachers[digest](self.images)

    def teach_features(self, digest: str, address: str) -> Tensor:
        """Return the output of a layer of this teacher, such as ``layer4``, for the same inputs, without gradients."""
        return self.teachers[digest].features(self.images, address)
