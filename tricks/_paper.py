"""Evidence from the tables of He et al. 2019: top-1 accuracies on ImageNet, in percent.

The figures are recalled, not read from the paper: the last digit may differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipe.api import Evidence

if TYPE_CHECKING:
    from recipe.api import PlanView

TABLE4 = {  # ResNet-50 at batch 256 and at batch 1024, each row on top of the previous one
    "linear scaling": (75.87, 75.17),
    "warmup": (76.03, 75.93),
    "zero gamma": (76.19, 76.37),
    "no bias decay": (76.16, 76.03),
    "fp16": (76.15, 76.21),
}
TABLE5 = {"A": 76.21, "B": 76.66, "C": 76.87, "D": 77.16}  # ResNet-50, each on top of the previous one
ROWS = ("efficient", "cosine", "smooth", "distill", "mixup", "both")
TABLE6 = {
    "ResNet-50-D": dict(zip(ROWS, (77.16, 77.91, 78.31, 78.67, 79.15, 79.29), strict=True)),
    "Inception-V3": dict(zip(ROWS, (77.50, 78.19, 78.40, 78.26, 78.77, 78.34), strict=True)),
    "MobileNet": dict(zip(ROWS, (71.90, 72.83, 72.93, 71.97, 73.28, 72.51), strict=True)),
}
KINDS = (
    ("resne", "ResNet-50-D"),
    ("wide_resnet", "ResNet-50-D"),
    ("inception_v3", "Inception-V3"),
    ("mobilenet", "MobileNet"),
)
NOISE = 0.1
"""Differences below this many points of top-1 count as mixed."""


MEASURED = ("resnet50", "inception_v3")
"""Models that the paper measured. For others of the same family, the evidence also names the model."""


def _model(plan: PlanView) -> str:
    base = plan.use("base")
    return str(base.values.get("model", "")).removeprefix("timm:") if base else ""


def _other(plan: PlanView) -> str:
    return "" if _model(plan) in MEASURED else f" (your model: {_model(plan)})"


def family(plan: PlanView) -> str | None:
    """Return which of the paper's three networks a recipe's model belongs to, or None."""
    name = _model(plan)
    return next((kind for start, kind in KINDS if name.startswith(start)), None)


def _step(what: str, before: float, after: float, table: str) -> Evidence:
    gain = after - before
    verdict = "mixed" if abs(gain) < NOISE else "for" if gain > 0 else "against"
    change = f"{gain:+.2f}".replace("-", "−")
    return Evidence(verdict, f"{what}: top-1 {before:.2f} % → {after:.2f} %, {change}", table, "recalled")


def stacked(plan: PlanView, before: str, after: str, what: str) -> Iterator[Evidence]:
    """Yield the step between two rows of Table 6, for the network that the plan's model belongs to."""
    found = family(plan)
    if found is not None:
        rows = TABLE6[found]
        yield _step(f"{what} with {found}{_other(plan)}", rows[before], rows[after], "Table 6 of He et al. 2019")


def cumulative(plan: PlanView, before: str, after: str) -> Iterator[Evidence]:
    """Yield the step between two rows of Table 4, at the batch size closer to the plan's."""
    if family(plan) == "ResNet-50-D":
        large = plan.training.batch >= 512
        batch = 1024 if large else 256
        figures = TABLE4[before][large], TABLE4[after][large]
        yield _step(f"{after} on ResNet-50 at batch {batch}{_other(plan)}", *figures, "Table 4 of He et al. 2019")


def tweaked(plan: PlanView, before: str, after: str) -> Iterator[Evidence]:
    """Yield the step between two rows of Table 5."""
    if family(plan) == "ResNet-50-D":
        yield _step(
            f"tweak {after} on ResNet-50{_other(plan)}", TABLE5[before], TABLE5[after], "Table 5 of He et al. 2019"
        )
