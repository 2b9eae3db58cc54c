"""What a trick is: its declaration, the hooks it may implement, and the decorator that makes it one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import attrs

from recipe.diagnostics import nearest
from recipe.edits import Layer, Site
from recipe.evidence import Evidence
from recipe.fields import Field, architecture, choice, integer, number, numbers, path, teacher
from recipe.slots import COMBINED, EXCLUSIVE
from recipe.training import Progress, Training

if TYPE_CHECKING:
    import torch

    from recipe.draws import Draws, Floats
    from recipe.graph.net import Net
    from recipe.images import Sets
    from recipe.objective import Judged
    from recipe.plan import Plan

API_VERSION = 1
"""The version of the contract of `recipe.api`; a trick may state the one it was written for as ``api_version``."""


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
                  group     options of the optimizer for a parameter
                  optimize  the optimizer
                  for each batch:
                      factor      of the learning rate
                      box         the part of each image that is seen
                      augment     each image on its own
                      soften      target distributions
                      mix         images and targets together
                      resolution  the size of the images
                      frozen      parameters that do not train
                      (forward)
                      judge       the loss of a prediction
                      penalise    terms that are added to it
                      (backward)
                      perturb     where the gradients are taken once more
                      adjust      the gradients
                      (the optimizer's step)
                      average     the average of the weights

    Tricks are values: a hook keeps nothing, and its result follows from its arguments. That, and randomness from
    `Draws` alone, is what lets a training be repeated, shared among processes and resumed bit by bit. Within the model
    (forward), torch's own random numbers are seeded for each step.
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
        """Target distributions (N, K), softened, each on its own."""
        raise NotImplementedError

    def mix(self, images: torch.Tensor, targets: torch.Tensor, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (N, 3, H, W) and targets (N, K), mixed. Image 2k has image 2k + 1 for a partner."""
        raise NotImplementedError

    def resolution(self, side: int, progress: Progress) -> int:
        """Height and width, in pixels, of the images of a step, which have ``side``; at least 1 and at most that."""
        raise NotImplementedError

    def frozen(self, names: Sequence[str], progress: Progress) -> Iterable[str]:
        """Which parameters do not train at a step, of all that train, by their names in the order of the network."""
        return ()

    def judge(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of logits (N, K) against target distributions (N, K): one number, mean over the batch."""
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
        """The optimizer over the parameter groups; before each step their ``lr`` is set to that of the step."""
        raise NotImplementedError

    def perturb(self, weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """How far from the weights the gradients of the same batch are taken, which then make the update."""
        raise NotImplementedError

    def adjust(
        self, gradients: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress
    ) -> Sequence[torch.Tensor]:
        """The gradients of all weights that have one, changed: other tensors, or the same ones changed in place."""
        return gradients

    def average(self, averages: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress) -> None:
        """Take the weights after an update, and running statistics, into their averages, in place.

        These begin as the initial weights.
        """
        raise NotImplementedError

    def overrides(self, hook: str) -> bool:
        """Whether this trick implements a hook."""
        return getattr(type(self), hook) is not getattr(Trick, hook)


HOOKS = tuple(name for name in vars(Trick) if not name.startswith("_") and name != "overrides" and name != "declared")

FIELDS = (number, integer, numbers, choice, path, architecture, teacher)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_:-]*")
"""A verb or a clause: a name of the grammar, without the dot that parts the two in an entry point."""

VALUE = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
"""A word that a field takes: a name of the grammar."""

T = TypeVar("T", bound=type[Trick])


def _syntax(word: str, fields: tuple[Field, ...]) -> str:
    parts, named = [], False
    for field in fields:
        text = f"{field.word}={field.word.upper()}" if named else field.word.upper() + "…" * field.kind.many
        parts.append(text if field.required else f"[{text}]")
        named = named or field.kind.many  # a field that takes all that follows leaves only names to those after it
    return " ".join([word, *parts])


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(number, integer, numbers, choice, path, architecture, teacher),
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
        if not (isinstance(word, str) and 1 <= len(word.split()) <= 2 and all(map(NAME.fullmatch, word.split()))):
            raise TypeError(
                f"trick {word!r}: a trick's words are a verb, or a verb and a clause, as a recipe writes them"
            )
        lists = {"reads": reads, "writes": writes, "after": after, "needs": needs, "excludes": excludes}
        for name, words in lists.items():
            if not (isinstance(words, tuple) and all(isinstance(one, str) for one in words)):
                raise TypeError(f'trick `{word}`: {name}= takes a tuple, such as ("clip",), not {words!r}')
        slots = [slot for slot in (*reads, *writes) if slot not in EXCLUSIVE and slot not in COMBINED]
        if slots:
            near = nearest(slots[0], [*EXCLUSIVE, *COMBINED])
            help = f"did you mean `{near}`?" if near else f"slots are {', '.join([*EXCLUSIVE, *COMBINED])}"
            raise TypeError(f"trick `{word}`: there is no slot `{slots[0]}`; {help}")
        if not (cls.__doc__ or "").strip():
            raise TypeError(f"trick `{word}`: a docstring must say what it does")
        known = {*HOOKS, "api_version"}
        for name, value in vars(cls).items():
            if "recipe" in getattr(value, "metadata", ()) and name not in cls.__annotations__:
                raise TypeError(f"trick `{word}`: `{name}` needs its type, such as `{name}: float = number(…)`")
            if not name.startswith("_") and name not in known and name not in cls.__annotations__:
                near = nearest(name, HOOKS)
                help = f"did you mean `{near}`? Else " if near else ""
                raise TypeError(
                    f"trick `{word}`: `{name}` is no hook; {help}begin the names of helpers with an underscore"
                )
        made = attrs.frozen(kw_only=True, eq=True)(cls)
        fields = []
        for attribute in attrs.fields(made):  # type: ignore[arg-type]
            if "recipe" not in attribute.metadata:
                functions = ", ".join(f"{function.__name__}()" for function in FIELDS)
                raise TypeError(f"trick `{word}`: declare `{attribute.name}` with one of {functions}")
            fields.append(attrs.evolve(attribute.metadata["recipe"], name=attribute.name))
        for field in fields:
            if field.name in HOOKS:
                raise TypeError(f"trick `{word}`: `{field.name}` is a hook, and can't be the name of a field")
            for value in (field.default, *field.dialects.values()):
                if value not in (attrs.NOTHING, None) and not field.kind.holds(value):
                    raise TypeError(
                        f"trick `{word}`: the default of `{field.name}` is {value!r}, and takes {field.kind.expects}"
                    )
            if wrong := [one for one in field.kind.words if not VALUE.fullmatch(one)]:
                raise TypeError(f"trick `{word}`: no recipe can write the word `{wrong[0]}` of `{field.name}`")
            if not field.help:
                raise TypeError(f"trick `{word}`: `{field.name}` needs a line of help")
        made.declared = Declared(
            word, reads, writes, after, needs, excludes, tuple(fields), _syntax(word, tuple(fields))
        )
        return made

    return declare
