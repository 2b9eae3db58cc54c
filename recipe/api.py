"""The public API: all that a trick needs to import, ours or yours.

A trick is a class with a docstring, typed fields and some of the hooks of `Trick`::

    @trick("lr warmup", writes=("lr",))
    class Warmup(Trick):
        '''Raise the learning rate linearly over the first epochs.'''

        epochs: float = number(help="length, in epochs", minimum=0)

        def lr_factor(self, progress): ...

It is found through an entry point of the group ``recipe.tricks`` whose name is its words with a dot between them
(``lr.warmup``), so that a recipe loads only what it uses. A trick's module must not import torch at its top: what only
checks a recipe does without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import fail
from recipe.graph.edits import Edit, Initialise, Insert, Layer, SetAttribute, Site, Substitute
from recipe.plugins.declare import trick
from recipe.plugins.evidence import Evidence
from recipe.plugins.fields import REQUIRED, RecipeFile, architecture, choice, integer, number, numbers, path, teacher
from recipe.plugins.plan_view import PlanView
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training
from recipe.plugins.suggest_context import SuggestContext
from recipe.plugins.trick import API_VERSION, Declared, Trick

if TYPE_CHECKING:
    from recipe.compiler.weights import safetensors_shapes
    from recipe.data.draws import Draws, Floats
    from recipe.data.images import Files, Images, InMemory, Sets, in_memory
    from recipe.graph.net import Block, Net
    from recipe.graph.shapes import on_meta
    from recipe.plugins.loss_context import LossContext

__all__ = [
    "API_VERSION",
    "REQUIRED",
    "Block",
    "Declared",
    "Diagnostic",
    "Draws",
    "Edit",
    "Evidence",
    "Files",
    "Floats",
    "Images",
    "InMemory",
    "Initialise",
    "Insert",
    "Layer",
    "LossContext",
    "Net",
    "PlanView",
    "Progress",
    "RecipeFile",
    "SetAttribute",
    "Sets",
    "Site",
    "Substitute",
    "SuggestContext",
    "Training",
    "Trick",
    "architecture",
    "choice",
    "fail",
    "in_memory",
    "integer",
    "number",
    "numbers",
    "on_meta",
    "path",
    "safetensors_shapes",
    "teacher",
    "trick",
]

_LAZY = {
    "Block": "recipe.graph.net",
    "Net": "recipe.graph.net",
    "Draws": "recipe.data.draws",
    "Floats": "recipe.data.draws",
    "Files": "recipe.data.images",
    "Images": "recipe.data.images",
    "InMemory": "recipe.data.images",
    "Sets": "recipe.data.images",
    "in_memory": "recipe.data.images",
    "LossContext": "recipe.plugins.loss_context",
    "on_meta": "recipe.graph.shapes",
    "safetensors_shapes": "recipe.compiler.weights",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """What needs torch or numpy is imported when it is first asked for."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
