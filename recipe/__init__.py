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
    from recipe.compare.api import diff
    from recipe.compare.difference import Diff
    from recipe.compiler import Program, compile
    from recipe.diagnostics import Diagnostic, Diverged, RecipeError
    from recipe.engine import Run, run
    from recipe.formats.api import Exported, export
    from recipe.plan import Plan
    from recipe.registry import Vocabulary
    from recipe.signals import Interrupted

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
    "Diff": "recipe.compare.difference",
    "Diagnostic": "recipe.diagnostics",
    "Diverged": "recipe.diagnostics",
    "Exported": "recipe.formats.api",
    "Interrupted": "recipe.signals",
    "Plan": "recipe.plan",
    "Program": "recipe.compiler",
    "RecipeError": "recipe.diagnostics",
    "Run": "recipe.engine",
    "Table": "recipe.ablation.table",
    "Unfinished": "recipe.ablation.execute",
    "Vocabulary": "recipe.registry",
    "ablate": "recipe.ablation.api",
    "compile": "recipe.compiler",
    "diff": "recipe.compare.api",
    "export": "recipe.formats.api",
    "run": "recipe.engine",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first asked for, so that `recipe check` needs no torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("recipe-compiler")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
