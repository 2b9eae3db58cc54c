"""The metrics of an evaluation that a run can compare its epochs by, and whether higher or lower values are better."""

from __future__ import annotations

from collections.abc import Mapping

MODES = ("max", "min")
"""Whether the highest or the lowest value of a metric is the best."""

BUILT_IN: Mapping[str, str] = {"top1": "max", "balanced": "max", "loss": "min"}
"""The mode of each metric that needs no trick."""

DEFAULT = "top1"
"""The metric to compare by if no trick names another."""

RESERVED = (*BUILT_IN, "top5")
"""The names that a trick's metrics can't have: those of an evaluation's own results."""
