"""A small language for composing the training tricks of image classifiers, and a compiler for it.

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
    from recipe.ablation.execute import Unfinished
    from recipe.ablation.table import Table
    from recipe.base.diagnostics import Diagnostic
    from recipe.base.errors import Diverged, RecipeError
    from recipe.base.signals import Interrupted
    from recipe.compare.api import Diff, diff
    from recipe.compiler.api import compile
    from recipe.compiler.program import Program
    from recipe.exporters.api import Exported, export
    from recipe.plan.plan import Plan
    from recipe.plugins.vocabulary import Vocabulary
    from recipe.training.engine import Run, run

__all__ = [
    "Diagnostic",
    "Diff",
    "Diverged",
    "Exported",
    "Interrupted",
    "Plan",
    "Program",
    "RecipeError",
    "Run",
    "Table",
    "Unfinished",
    "Vocabulary",
    "__version__",
    "ablate",
    "compile",
    "diff",
    "export",
    "run",
]

_HOMES = {
    "Diff": "recipe.compare.api",
    "Diagnostic": "recipe.base.diagnostics",
    "Diverged": "recipe.base.errors",
    "Exported": "recipe.exporters.api",
    "Interrupted": "recipe.base.signals",
    "Plan": "recipe.plan.plan",
    "Program": "recipe.compiler.program",
    "RecipeError": "recipe.base.errors",
    "Run": "recipe.training.engine",
    "Table": "recipe.ablation.table",
    "Unfinished": "recipe.ablation.execute",
    "Vocabulary": "recipe.plugins.vocabulary",
    "ablate": "recipe.ablation.api",
    "compile": "recipe.compiler.api",
    "diff": "recipe.compare.api",
    "export": "recipe.exporters.api",
    "run": "recipe.training.engine",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first asked for, so that `recipe check` needs no torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("recipe-compiler")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
