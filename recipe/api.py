"""The public API: everything that a trick imports from recipe.

A trick is a class with a docstring, typed fields and some of the hooks of `Trick`::

    @trick("lr warmup", writes=("lr",))
    class Warmup(Trick):
        '''Raise the learning rate linearly over the first epochs.'''

        epochs: float = number(help="length, in epochs", minimum=0)

        def lr_factor(self, progress): ...

Register a trick as an entry point in the group ``recipe.tricks``, named after its words joined by a dot
(``lr.warmup``). A recipe loads only the tricks that it uses. Don't import torch at the top of a trick's module:
checking a recipe must work without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from recipe.base.channels import to_channels
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import fail
from recipe.base.wording import how_to_install
from recipe.data.appearance import BACKGROUNDS, ORIENTATIONS
from recipe.data.encoded import Encoded, ImageSource
from recipe.data.folders import SUBFOLDERS, FoundImages, class_folders, find_images, shorter_side
from recipe.data.layout import FolderLayout
from recipe.data.listed import ListLayout
from recipe.data.parts import Division, FileParts, Labeled, divided
from recipe.data.rows import sorted_classes
from recipe.data.splits import group_pattern, part_named
from recipe.data.table import Columns
from recipe.graph.edits import Edit, Initialise, Insert, Layer, SetAttribute, Site, Substitute
from recipe.plugins.contexts import EvaluationResult, Evidence, LossContext, ParamPlace, Preprocessing, SuggestContext
from recipe.plugins.declare import trick
from recipe.plugins.declared import Declared
from recipe.plugins.fields import (
    REQUIRED,
    address,
    architecture,
    choice,
    integer,
    metric,
    number,
    numbers,
    path,
    share_or_path,
    share_or_text,
    teacher,
    text,
)
from recipe.plugins.kinds import RecipeFile
from recipe.plugins.progress import Progress
from recipe.plugins.settings import INTERPOLATIONS, VIEWS, Training
from recipe.plugins.trick import API_VERSION, Trick
from recipe.plugins.uses import PlanView

if TYPE_CHECKING:
    from recipe.compiler.naming import with_channels
    from recipe.compiler.weights_file import Weights
    from recipe.data.draws import Draws, Floats, Indices
    from recipe.data.images import Files, Images, InMemory, Sets, in_memory
    from recipe.graph.convolution import convolution_like
    from recipe.graph.net import Block, Net
    from recipe.graph.parts import body_of, up_to
    from recipe.graph.shapes import on_meta
    from recipe.inference.initial_weights import read_weights
    from recipe.runs.trained_on import recorded_inputs

__all__ = [
    "API_VERSION", "BACKGROUNDS", "INTERPOLATIONS", "ORIENTATIONS", "REQUIRED", "SUBFOLDERS", "VIEWS", "Block",
    "Columns", "Declared", "Diagnostic", "Division", "Draws", "Edit", "Encoded", "EvaluationResult", "Evidence",
    "FileParts", "Files", "Floats", "FolderLayout", "FoundImages", "ImageSource", "Images", "InMemory", "Indices",
    "Initialise", "Insert", "Labeled", "Layer", "ListLayout", "LossContext", "Net", "ParamPlace", "PlanView",
    "Preprocessing", "Progress", "RecipeFile", "SetAttribute", "Sets", "Site", "Substitute", "SuggestContext",
    "Training", "Trick", "Weights", "address", "architecture", "body_of", "choice", "class_folders", "convolution_like",
    "divided", "fail", "find_images", "group_pattern", "how_to_install", "in_memory", "integer", "metric", "number",
    "numbers", "on_meta", "part_named", "path", "read_weights", "recorded_inputs", "share_or_path", "share_or_text",
    "shorter_side", "sorted_classes", "teacher", "text", "to_channels", "trick", "up_to", "with_channels",
]  # fmt: skip

_LAZY = {
    "recipe.compiler.naming": ("with_channels",),
    "recipe.compiler.weights_file": ("Weights",),
    "recipe.data.draws": ("Draws", "Floats", "Indices"),
    "recipe.data.images": ("Files", "Images", "InMemory", "Sets", "in_memory"),
    "recipe.graph.convolution": ("convolution_like",),
    "recipe.graph.net": ("Block", "Net"),
    "recipe.graph.parts": ("body_of", "up_to"),
    "recipe.graph.shapes": ("on_meta",),
    "recipe.inference.initial_weights": ("read_weights",),
    "recipe.runs.trained_on": ("recorded_inputs",),
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import the names that need torch or numpy on first use."""
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
