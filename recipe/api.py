"""The public API: all that a trick needs to import, ours or yours.

A trick is a class with a docstring, typed fields and some of the hooks of `Trick`::

    @trick("lr warmup", writes=("lr",))
    class Warmup(Trick):
        '''Raise the learning rate linearly over the first epochs.'''

        epochs: float = number(help="length, in epochs", minimum=0)

        def factor(self, progress): ...

It is found through an entry point of the group ``recipe.tricks`` whose name is its words with a dot between them
(``lr.warmup``), so that a recipe loads only what it uses. A trick's module must not import torch at its top: what only
checks a recipe does without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import attrs

from recipe.diagnostics import Diagnostic
from recipe.edits import Edit, Initialise, Insert, Layer, SetAttribute, Site, Substitute
from recipe.evidence import Evidence
from recipe.fields import (
    REQUIRED,
    Field,
    RecipeFile,
    architecture,
    choice,
    integer,
    number,
    numbers,
    path,
    teacher,
)
from recipe.slots import COMBINED, EXCLUSIVE
from recipe.training import Progress, Training

if TYPE_CHECKING:
    import torch

    from recipe.draws import Draws, Floats
    from recipe.graph.net import Block, Net
    from recipe.images import Files, InMemory, Sets, in_memory
    from recipe.objective import Judged
    from recipe.plan import Plan

API_VERSION = 1
"""The version of this module's contract; a plugin may state the one it was written for as ``api_version``."""

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
    "InMemory",
    "Initialise",
    "Insert",
    "Judged",
    "Layer",
    "Net",
    "Plan",
    "Progress",
    "RecipeFile",
    "SetAttribute",
    "Sets",
    "Site",
    "Substitute",
    "Training",
    "Trick",
    "architecture",
    "choice",
    "in_memory",
    "integer",
    "number",
    "numbers",
    "path",
    "teacher",
    "trick",
]

_LAZY = {
    "Block": "recipe.graph.net",
    "Net": "recipe.graph.net",
    "Draws": "recipe.draws",
    "Floats": "recipe.draws",
    "Files": "recipe.images",
    "InMemory": "recipe.images",
    "Sets": "recipe.images",
    "in_memory": "recipe.images",
    "Judged": "recipe.objective",
    "Plan": "recipe.plan",
}


def __getattr__(name: str) -> Any:
    """What needs torch or numpy is imported when it is first asked for."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@attrs.frozen
class Declared:
    """What a trick says of itself: its words, the slots it reads and writes, and its relations to other tricks.

    ``after``, ``needs`` and ``excludes`` name other tricks by their words.
    """

    word: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    after: tuple[str, ...]
    needs: tuple[str, ...]
    excludes: tuple[str, ...]
    fields: tuple[Field, ...]
    syntax: str
    package: str = "recipe-compiler"

    @property
    def verb(self) -> str:
        return self.word.split()[0]

    @property
    def clause(self) -> str | None:
        return self.word.split()[1] if " " in self.word else None


class Trick:
    """Base of every trick. A trick overrides the hooks it needs; the rest do nothing.

    The hooks, in the order in which a recipe meets them::

        plan      suggest   other fields' values where the recipe gives none
                  check     warnings that need no torch
                  evidence  what published tables say for and against
                  configure settings of the training
        compile   build     the stock model (with constructor, image_size, weight_shapes, load_weights)
                  rewrite   edits of its graph
        train     open      the images (with count_classes, count_images)
                  for each batch:
                      box       the part of each image that is seen
                      augment   each image on its own
                      soften    target distributions
                      mix       images and targets together
                      (forward)
                      penalise  terms of the loss
                      (backward)
                      factor    of the learning rate
                      group     of a parameter in the optimizer
                      optimize  the update
    """

    declared: Declared

    def suggest(self) -> Mapping[str, Any]:
        """Values for fields that the recipe leaves open, as ``{"epochs count": 10}``: verb, then field."""
        return {}

    def check(self, plan: Plan) -> Iterable[str]:
        """Warnings about this trick in this plan."""
        return ()

    def evidence(self, plan: Plan) -> Iterable[Evidence]:
        """What published tables say for or against this trick in this plan."""
        return ()

    def configure(self, training: Training) -> Training:
        """The training's settings, changed; use `attrs.evolve`."""
        return training

    def build(self, classes: int | None) -> torch.nn.Module:
        """The stock model with so many outputs (None: as many as it comes with), its weights freshly drawn."""
        raise NotImplementedError

    def constructor(self, classes: int) -> Layer | None:
        """The same as a function of torchvision or timm and its arguments, for exported source; None: there is none."""
        return None

    def image_size(self) -> int:
        """Height and width, in pixels, of the images that the stock model was made for."""
        return 224

    def weight_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the pretrained weights that the recipe asks for, by name, without a download."""
        return {}

    def load_weights(self) -> Mapping[str, torch.Tensor]:
        """Those weights themselves."""
        return {}

    def rewrite(self, net: Net) -> Iterable[Site]:
        """The sites in the network, each with the edits that it needs."""
        return ()

    def count_classes(self) -> int | None:
        """The number of classes of the images, where that is known before they are opened."""
        return None

    def count_images(self) -> int | None:
        """The number of training images, where that is known before they are opened."""
        return None

    def open(self) -> Sets:
        """The images to train on and to evaluate. A trick that opens images has the fields ``size`` and ``workers``."""
        raise NotImplementedError

    def box(self, draws: Draws, heights: Floats, widths: Floats) -> Floats:
        """What is seen of each image: (N, 4) of top, left, height and width in pixels."""
        raise NotImplementedError

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Images (N, 3, H, W), float32 in [0, 1], each changed on its own."""
        raise NotImplementedError

    def soften(self, targets: torch.Tensor) -> torch.Tensor:
        """Target distributions (N, K), softened."""
        raise NotImplementedError

    def mix(self, images: torch.Tensor, targets: torch.Tensor, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (N, 3, H, W) and targets (N, K), mixed. Image 2k has image 2k + 1 for a partner."""
        raise NotImplementedError

    def penalise(self, judged: Judged) -> torch.Tensor:
        """A term to be added to the loss: one number, mean over the batch."""
        raise NotImplementedError

    def factor(self, progress: Progress) -> float:
        """A factor of the learning rate."""
        return 1.0

    def group(self, name: str, parameter: torch.Tensor, module: torch.nn.Module) -> Mapping[str, Any]:
        """Options of the optimizer for one parameter: ``{"weight_decay": 0.0}``."""
        return {}

    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        """The optimizer over the parameter groups."""
        raise NotImplementedError

    def overrides(self, hook: str) -> bool:
        """Whether this trick implements a hook."""
        return getattr(type(self), hook) is not getattr(Trick, hook)


HOOKS = tuple(name for name in vars(Trick) if not name.startswith("_") and name != "overrides" and name != "declared")

T = TypeVar("T", bound=type[Trick])


def _syntax(word: str, fields: tuple[Field, ...]) -> str:
    parts, named = [], False
    for field in fields:
        text = f"{field.word}={field.word.upper()}" if named else field.word.upper() + "…" * field.kind.many
        parts.append(text if field.required else f"[{text}]")
        named = named or field.kind.many  # a field that takes all that follows leaves only names to those after it
    return " ".join([word, *parts])


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(number, integer, numbers, choice, path)
)
def trick(
    word: str,
    *,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = ("run",),
    after: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    excludes: tuple[str, ...] = (),
) -> Callable[[T], T]:
    """Declare a trick: its words (``verb`` or ``verb clause``) and what it reads, writes, follows, needs and excludes.

    Raises `TypeError` where the class breaks a rule of `Trick`; the message says which.
    """

    def declare(cls: T) -> T:
        slots = [slot for slot in (*reads, *writes) if slot not in EXCLUSIVE and slot not in COMBINED]
        if slots:
            raise TypeError(f"trick `{word}`: there is no slot `{slots[0]}`; slots are {[*EXCLUSIVE, *COMBINED]}")
        if not 1 <= len(word.split()) <= 2:
            raise TypeError(f"trick `{word}`: a trick's words are a verb, or a verb and a clause")
        if not (cls.__doc__ or "").strip():
            raise TypeError(f"trick `{word}`: a docstring must say what it does")
        known = {*HOOKS, "api_version"}
        for name in vars(cls):
            if not name.startswith("_") and name not in known and name not in cls.__annotations__:
                raise TypeError(f"trick `{word}`: `{name}` is no hook; begin the names of helpers with an underscore")
        made = attrs.frozen(kw_only=True, eq=True)(cls)
        fields = []
        for attribute in attrs.fields(made):  # type: ignore[arg-type]
            if "recipe" not in attribute.metadata:
                raise TypeError(
                    f"trick `{word}`: declare `{attribute.name}` with number(), integer(), choice() or path()"
                )
            fields.append(attrs.evolve(attribute.metadata["recipe"], name=attribute.name))
        for field in fields:
            if not field.help:
                raise TypeError(f"trick `{word}`: `{field.name}` needs a line of help")
        made.declared = Declared(
            word, reads, writes, after, needs, excludes, tuple(fields), _syntax(word, tuple(fields))
        )
        return made

    return declare
