"""A small language for composing training tricks for image classifiers, and its compiler.

import recipe

program = recipe.compile("base resnet50; tweak C D")
program.costs.macs                          # 4328824832
run = recipe.run("base resnet18; lr warmup 1 cosine", out="runs/first")
run.summary["top1"]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recipe.ablation.api import ablate
    from recipe.ablation.cells.execute import Unfinished
    from recipe.ablation.report.table import Table
    from recipe.base.diagnostics import Diagnostic
    from recipe.base.errors import Diverged, RecipeError
    from recipe.base.signals import Interrupted
    from recipe.compare.api import Diff, diff
    from recipe.compiler.api import compile
    from recipe.compiler.program import Program
    from recipe.exporters.api import Exported, export
    from recipe.exporters.formats import Format
    from recipe.exporters.source_run import SourceRun
    from recipe.inference.evaluation import Evaluation
    from recipe.inference.opened import load
    from recipe.inference.predictions import Prediction, Predictions
    from recipe.inference.pretrained import PretrainedModel, pretrained
    from recipe.inference.run import Run
    from recipe.plan.plan import Plan
    from recipe.plugins.vocabulary import Vocabulary
    from recipe.showing.api import show, show_data
    from recipe.showing.report import DataReport
    from recipe.showing.sheet import Sheet
    from recipe.trackers.tracker import TrackedRun, Tracker
    from recipe.training.api import batches, run
    from recipe.training.own_loop import Batches, TrainingBatch

__all__ = [
    "Batches", "DataReport", "Diagnostic", "Diff", "Diverged", "Evaluation", "Exported", "Format", "Interrupted",
    "Plan", "Prediction", "Predictions", "PretrainedModel", "Program", "RecipeError", "Run", "Sheet", "SourceRun",
    "Table", "TrackedRun", "Tracker", "TrainingBatch", "Unfinished", "Vocabulary", "__version__", "ablate",
    "batches", "compile", "diff", "export", "load", "pretrained", "run", "show", "show_data",
]  # fmt: skip

_LAZY = {
    "recipe.ablation.api": ("ablate",),
    "recipe.ablation.cells.execute": ("Unfinished",),
    "recipe.ablation.report.table": ("Table",),
    "recipe.base.diagnostics": ("Diagnostic",),
    "recipe.base.errors": ("Diverged", "RecipeError"),
    "recipe.base.signals": ("Interrupted",),
    "recipe.compare.api": ("Diff", "diff"),
    "recipe.compiler.api": ("compile",),
    "recipe.compiler.program": ("Program",),
    "recipe.exporters.api": ("Exported", "export"),
    "recipe.exporters.formats": ("Format",),
    "recipe.exporters.source_run": ("SourceRun",),
    "recipe.inference.evaluation": ("Evaluation",),
    "recipe.inference.opened": ("load",),
    "recipe.inference.predictions": ("Prediction", "Predictions"),
    "recipe.inference.pretrained": ("PretrainedModel", "pretrained"),
    "recipe.inference.run": ("Run",),
    "recipe.plan.plan": ("Plan",),
    "recipe.plugins.vocabulary": ("Vocabulary",),
    "recipe.showing.api": ("show", "show_data"),
    "recipe.showing.report": ("DataReport",),
    "recipe.showing.sheet": ("Sheet",),
    "recipe.trackers.tracker": ("TrackedRun", "Tracker"),
    "recipe.training.api": ("batches", "run"),
    "recipe.training.own_loop": ("Batches", "TrainingBatch"),
}


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `recipe check` doesn't load torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("recipe-compiler")
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
