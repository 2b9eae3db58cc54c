"""What a trick is: its declaration, and the hooks that it may implement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from recipe.graph.edits import Layer, Site
from recipe.plugins.evidence import Evidence
from recipe.plugins.fields import Field
from recipe.plugins.plan_view import PlanView
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training

if TYPE_CHECKING:
    import torch

    from recipe.data.draws import Draws, Floats
    from recipe.data.images import Sets
    from recipe.graph.net import Net
    from recipe.plugins.loss_context import LossContext

OWN = "recipe-compiler"
"""The package whose words nobody else can take, so that no package that is installed changes what a recipe means."""

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
    package: str = OWN

    @property
    def verb(self) -> str:
        return self.word.split()[0]

    @property
    def clause(self) -> str | None:
        return self.word.split()[1] if " " in self.word else None

    def taking(self, name: str) -> Field | None:
        """The field that a bare name is a word of, if there is one."""
        return next((field for field in self.fields if field.kind.knows(name)), None)


class Trick:
    """Base of every trick. A trick overrides the hooks it needs; the rest do nothing.

    The hooks, in the order in which a recipe meets them::

        plan      suggest        other fields' values where the recipe gives none
                  configure      settings of the training
                  check          warnings that need no torch
                  evidence       what published tables say for and against
        compile   count_classes  how many there are, if that is known before the images are opened
                  build          the stock model
                  image_size     of the images that it was made for
                  weight_shapes  the shapes of the pretrained weights that the recipe asks for
                  rewrite        edits of its graph
                  count_images   how many there are to train on, if that is known before they are opened
        train     open           the images
                  load_weights   the pretrained weights
                  param_options  options of the optimizer for a parameter
                  optimize       the optimizer
                  for each batch:
                      lr_factor       of the learning rate
                      crop_box        the part of each image that is seen
                      augment         each image on its own
                      smooth_targets  target distributions
                      mix             images and targets together
                      resolution      the size of the images
                      frozen          parameters that do not train
                      (forward)
                      loss            the loss of a prediction
                      loss_term       terms that are added to it
                      (backward)
                      perturb         where the gradients are taken once more
                      adjust          the gradients
                      (the optimizer's step)
                      average         the average of the weights
        export    constructor    what makes the stock model, as source

    Tricks are values: a hook keeps nothing, and its result follows from its arguments. That, and randomness from
    `Draws` alone, is what lets a training be repeated, shared among processes and resumed bit by bit. Within the model
    (forward), torch's own random numbers are seeded for each step.
    """

    declared: Declared

    def suggest(self) -> Mapping[str, Any]:
        """Values for fields that the recipe leaves open, by a trick's words and field: ``{"lr warmup epochs": 5}``."""
        return {}

    def check(self, plan: PlanView) -> Iterable[str]:
        """Warnings about this trick in this plan."""
        return ()

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
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

    def crop_box(self, draws: Draws, heights: Floats, widths: Floats) -> Floats:
        """What is seen of each image: (N, 4) of top, left, height and width in pixels."""
        raise NotImplementedError

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Images (N, 3, H, W), float32 in [0, 1], each changed on its own."""
        raise NotImplementedError

    def smooth_targets(self, targets: torch.Tensor) -> torch.Tensor:
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

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of logits (N, K) against target distributions (N, K): one number, mean over the batch."""
        raise NotImplementedError

    def loss_term(self, context: LossContext) -> torch.Tensor:
        """A term to be added to the loss: one number, mean over the batch."""
        raise NotImplementedError

    def lr_factor(self, progress: Progress) -> float:
        """A factor of the learning rate."""
        return 1.0

    def param_options(self, name: str, parameter: torch.Tensor, module: torch.nn.Module) -> Mapping[str, Any]:
        """Options of the optimizer for one parameter: ``{"weight_decay": 0.0}``."""
        return {}

    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        """The optimizer over the parameter groups.

        The learning rate of each step is written to ``group["lr"]`` before it; ``rate`` is that before all factors.
        """
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


RESERVED = ("declared", "overrides", "api_version")
"""What a trick has beside its hooks and its fields."""
