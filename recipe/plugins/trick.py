"""What a trick is: its declaration, and the hooks that it may implement, each declared on its stub in `Trick`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from recipe.graph.edits import Layer, Site
from recipe.plugins.contexts import Evidence, LossContext, SuggestContext
from recipe.plugins.fields import Field
from recipe.plugins.hooks import (
    GRAPH,
    Hook,
    hooks_of,
    is_a,
    is_boxes,
    is_by_name,
    is_count,
    is_count_or_none,
    is_like_each,
    is_like_first,
    is_mixed,
    is_module,
    is_one_number,
    is_optimizer,
    is_options,
    is_sets,
    is_several,
    is_side,
    is_tensor,
)
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training
from recipe.plugins.slots import INITIAL_VALUES

if TYPE_CHECKING:
    import torch

    from recipe.data.draws import Draws, Floats
    from recipe.data.images import Sets
    from recipe.graph.net import Net

OWN = "recipe-compiler"
"""The package whose words nobody else can take, so that no package that is installed changes what a recipe means."""

API_VERSION = 1
"""The version of the contract of `recipe.api`; a trick may state the one it was written for as ``api_version``."""


@attrs.frozen
class Declared:
    """What a trick says of itself: its words, the slots it reads and writes, and its relations to other tricks.

    ``after``, ``needs`` and ``excludes`` name other tricks by their words. A vocabulary fills in the ``package`` that
    offers the trick, and replaces the ``position`` that another package than ours states for a verb.
    """

    word: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    after: tuple[str, ...]
    needs: tuple[str, ...]
    excludes: tuple[str, ...]
    fields: tuple[Field, ...] = ()
    position: float = inf
    """Where people read its verb in a recipe; verbs without one follow, by name."""
    package: str = OWN

    @property
    def verb(self) -> str:
        return self.word.split()[0]

    @property
    def clause(self) -> str | None:
        return self.word.split()[1] if " " in self.word else None

    @property
    def reading_key(self) -> tuple[float, str, str]:
        """Sorts tricks as people read them: by verb, a verb's own value before its clauses."""
        return (self.position, self.verb, self.clause or "")

    @property
    def syntax(self) -> str:
        """How a recipe writes it: ``augment crop [SIZE] [scale=SCALE]``."""
        parts, named = [self.word], False
        for field in self.fields:
            text = f"{field.word}={field.word.upper()}" if named else field.word.upper() + "…" * field.kind.many
            parts.append(text if field.required else f"[{text}]")
            named = named or field.kind.many  # a field that takes all that follows leaves only names to those after it
        return " ".join(parts)

    @property
    def changes_layers(self) -> bool:
        """Whether its edits of a model change layers, rather than initial values alone."""
        return not {*self.writes} <= INITIAL_VALUES

    def taking(self, name: str) -> Field | None:
        """The field that a bare name is a word of, if there is one."""
        return next((field for field in self.fields if field.kind.knows(name)), None)


UNREADABLE = (OSError, ValueError)
"""What is raised for images that can't be read."""

PlanView: TypeAlias = Any
"""A `recipe.plugins.uses.PlanView`, which is made of tricks and so can't be imported here."""


class Trick:
    """Base of every trick. A trick overrides the hooks it needs; the rest do nothing.

    The hooks stand in the order in which a recipe meets them; `docs/plugins.md` has them in one table.

    Tricks are values: a hook keeps nothing, and its result follows from its arguments. That, and randomness from
    `Draws` alone, is what lets a training be repeated, shared among processes and resumed bit by bit. Within the model
    (forward), torch's own random numbers are seeded for each step.
    """

    declared: Declared

    # ---- the plan: what a recipe means, before anything is built

    @Hook(when="plan", gives="values by verb and field", check=is_a(Mapping))
    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        """Values for fields that the recipe leaves open, by a trick's words and field: ``{"lr warmup epochs": 5}``.

        ``context`` has what the recipe states.
        """
        return {}

    @Hook(when="plan", gives="settings by name", check=is_a(Mapping))
    def configure(self, training: Training) -> Mapping[str, Any]:
        """The settings that this trick makes, by name: ``{"batch": 256}``; ``training`` holds those made before it."""
        return {}

    @Hook(when="plan", gives="warnings, each a text", check=is_several(str))
    def check(self, plan: PlanView) -> Iterable[str]:
        """Warnings about this trick in this plan. What it refuses it raises, by `fail`."""
        return ()

    @Hook(when="plan", gives="Evidence", check=is_several(Evidence))
    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        """What published tables say for or against this trick in this plan."""
        return ()

    # ---- the compiler

    @Hook(when="compile", gives="a whole number, or None", check=is_count_or_none, slots=("data",), lets=UNREADABLE)
    def count_classes(self) -> int | None:
        """The number of classes of the images, where that is known before they are opened."""
        return None

    @Hook(when="compile", gives="a torch.nn.Module", check=is_module, slots=("base",), lets=(Exception,))
    def build(self, classes: int | None) -> torch.nn.Module:
        """The stock model with that many outputs (None: as many as it comes with), its weights freshly drawn.

        Whatever exception it raises says that the model can't be built (E102).
        """
        raise NotImplementedError

    @Hook(when="compile", gives="a whole number of pixels", check=is_count, slots=("base",))
    def image_size(self) -> int:
        """Height and width, in pixels, of the images that the stock model was made for."""
        return 224

    @Hook(when="compile", gives="shapes by name", check=is_by_name(is_a(tuple)), slots=("base",))
    def weight_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the pretrained weights that the recipe asks for, by name, without a download."""
        return {}

    @Hook(when="compile", gives="sites", check=is_several(Site), slots=GRAPH, code="E105")
    def rewrite(self, net: Net) -> Iterable[Site]:
        """A `Site` for each place in the network that the trick changes, with the edits that it needs."""
        return ()

    @Hook(when="compile", gives="options by name", check=is_options, slots=("groups",), formerly="group")
    def param_options(self, name: str, parameter: torch.Tensor, module: torch.nn.Module) -> Mapping[str, Any]:
        """Options of the optimizer for one parameter: ``{"weight_decay": 0.0}``."""
        return {}

    @Hook(when="compile", gives="a whole number, or None", check=is_count_or_none, slots=("data",), lets=UNREADABLE)
    def count_images(self) -> int | None:
        """The number of training images, where that is known before they are opened."""
        return None

    # ---- a training, before its first step

    @Hook(
        when="train",
        gives="Sets of images",
        check=is_sets,
        slots=("data",),
        lets=(*UNREADABLE, MemoryError, RuntimeError),
    )
    def open(self) -> Sets:
        """The images to train on and to evaluate. A trick that opens images has the fields ``size`` and ``workers``."""
        raise NotImplementedError

    @Hook(when="train", gives="tensors by name", check=is_by_name(is_tensor), slots=("base",))
    def load_weights(self) -> Mapping[str, torch.Tensor]:
        """The pretrained weights themselves, by name."""
        return {}

    @Hook(when="train", gives="a torch.optim.Optimizer", check=is_optimizer, slots=("optimizer",))
    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        """The optimizer over the parameter groups. Its `step` needs no closure.

        The learning rate of each step is written to ``group["lr"]`` before it; ``rate`` is that before all factors.
        """
        raise NotImplementedError

    # ---- each step: the batch

    @Hook(when="each step", gives="a number", check=is_a(Real), slots=("lr", "schedule"), formerly="factor")
    def lr_factor(self, progress: Progress) -> float:
        """A factor of the learning rate."""
        return 1.0

    @Hook(when="each batch", gives="boxes (N, 4), as an array", check=is_boxes, slots=("crop",), formerly="box")
    def crop_box(self, draws: Draws, heights: Floats, widths: Floats) -> Floats:
        """What is seen of each image: (N, 4) of top, left, height and width in pixels."""
        raise NotImplementedError

    @Hook(when="each batch", gives="the images (N, 3, H, W)", check=is_like_first, slots=("inputs",))
    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Images (N, 3, H, W), float32 in [0, 1], each changed on its own."""
        raise NotImplementedError

    @Hook(when="each batch", gives="the targets (N, K)", check=is_like_first, slots=("targets",), formerly="soften")
    def smooth_targets(self, targets: torch.Tensor) -> torch.Tensor:
        """Target distributions (N, K), softened, each on its own."""
        raise NotImplementedError

    @Hook(when="each batch", gives="images (N, 3, H, W) and targets (N, K)", check=is_mixed, slots=("mix",))
    def mix(self, images: torch.Tensor, targets: torch.Tensor, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (N, 3, H, W) and targets (N, K), mixed. Image 2k has image 2k + 1 for a partner."""
        raise NotImplementedError

    @Hook(when="each step", gives="a whole number of pixels, from 1 to the side", check=is_side, slots=("resolution",))
    def resolution(self, side: int, progress: Progress) -> int:
        """Height and width, in pixels, of the images of a step, which have ``side``; at least 1 and at most that."""
        raise NotImplementedError

    @Hook(when="each step", gives="names of parameters", check=is_several(str), slots=("frozen",))
    def frozen(self, net: Net, progress: Progress) -> Iterable[str]:
        """The parameters that do not train at a step, some of ``net.parameter_names``; ``net`` is the trained model."""
        return ()

    # ---- after the forward computation

    @Hook(when="each batch", gives="one number, as a tensor", check=is_one_number, slots=("loss",), formerly="judge")
    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of logits (N, K) against target distributions (N, K): one number, mean over the batch.

        It takes the place of cross entropy.
        """
        raise NotImplementedError

    @Hook(
        when="each batch",
        gives="one number, as a tensor",
        check=is_one_number,
        slots=("loss terms",),
        formerly="penalise",
    )
    def loss_term(self, context: LossContext) -> torch.Tensor:
        """A term to be added to the loss: one number, mean over the batch."""
        raise NotImplementedError

    # ---- after the backward computation

    @Hook(when="each step", gives="a step for each weight", check=is_like_each, slots=("perturbation",))
    def perturb(self, weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """How far from the weights the gradients of the same batch are taken, which then make the update."""
        raise NotImplementedError

    @Hook(when="each step", gives="each gradient", check=is_like_each, slots=("grads",))
    def adjust(
        self, gradients: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress
    ) -> Sequence[torch.Tensor]:
        """The gradients of all weights that have one, changed: other tensors, or the same ones changed in place."""
        return gradients

    # ---- after the update

    @Hook(when="each step", gives="None: it changes the averages in place", check=is_a(type(None)), slots=("average",))
    def average(self, averages: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress) -> None:
        """Take the weights after an update, and running statistics, into their averages, in place.

        These begin as the initial weights.
        """
        raise NotImplementedError

    # ---- export

    @Hook(when="export", gives="a Layer, or None", check=is_a(Layer, type(None)), slots=("base",))
    def constructor(self, classes: int) -> Layer | None:
        """The call of torchvision's or timm's function that makes the stock model, as a `Layer`; None: there is none.

        Exported source makes the model by it.
        """
        return None

    def overrides(self, hook: str) -> bool:
        """Whether this trick implements a hook."""
        return getattr(type(self), hook) is not getattr(Trick, hook)


HOOKS: Mapping[str, Hook] = hooks_of(Trick)
"""Every hook of `Trick`, in the order in which a recipe meets them."""

RESERVED = ("declared", "overrides", "api_version")
"""What a trick has beside its hooks and its fields."""
