"""precision fp32|fp16|bf16: the precision of the computation.

He et al. 2019, section 3.2 (Micikevicius et al. 2018): fp16 computes in half precision, with fp32 master weights and
loss scaling to keep small gradients from vanishing. Weights are fp32 in every precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Training, Trick, choice, trick
from recipe.tricks._paper import cumulative

if TYPE_CHECKING:
    from recipe.api import Evidence, PlanView


@trick(
    "precision",
    position=160,
    writes=("dtype",),
    known_as={
        "amp": "fp16",
        "mixed-precision": "fp16",
        "autocast": "fp16",
        "half": "fp16",
        "float16": "fp16",
        "bfloat16": "bf16",
        "float32": "fp32",
        "dtype": "",
        "amp-dtype": "",
    },
)
class Precision(Trick):
    """Choose the precision of the forward and backward pass. A device that lacks it reports what it uses instead."""

    format: str = choice("fp32", "precision", of=("fp32", "fp16", "bf16"))

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        return cumulative(plan, "no bias decay", "fp16") if self.format == "fp16" else ()

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"precision": self.format}
