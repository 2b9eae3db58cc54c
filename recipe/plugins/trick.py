"""Tricks, and the hooks that they may implement, each declared by a stub in `Trick`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from recipe.graph.edits import Layer, Site
from recipe.plugins.contexts import EvaluationResult, Evidence, LossContext, ParamPlace, Preprocessing, SuggestContext
from recipe.plugins.declared import Declared
from recipe.plugins.hooks import (
    GRAPH,
    Hook,
    hooks_of,
    is_a,
    is_boxes,
    is_by_name,
    is_class_weights,
    is_count,
    is_count_or_none,
    is_factor,
    is_like_each,
    is_like_first,
    is_loss,
    is_metrics,
    is_mixed,
    is_modes,
    is_module,
    is_names,
    is_optimizer,
    is_options,
    is_order,
    is_sets,
    is_several,
    is_several_or_none,
    is_side,
    is_tensor,
    is_term,
)
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training

if TYPE_CHECKING:
    import torch

    from recipe.data.draws import Draws, Floats, Indices
    from recipe.data.images import Sets
    from recipe.graph.net import Net

API_VERSION = 1
"""The version of `recipe.api`. A trick may state the version that it was written for as ``api_version``."""


UNREADABLE = (OSError, ValueError)
"""The exceptions for images that can't be read."""

PlanView: TypeAlias = Any
"""A `recipe.plugins.uses.PlanView`, which depends on this module and so can't be imported here."""


class Trick:
    """The base class of every trick. A trick overrides the hooks it needs; the others do nothing.

    The hooks are in the order in which they are called. `docs/reference/plugins.md` lists them in one table.

    Tricks are values: a hook keeps no state, its result depends only on its arguments, and its only randomness comes
    from `Draws`. This makes it possible to repeat training, split it across processes and resume it bit for bit. In the
    model's forward pass, torch's own random numbers are seeded for each step.
    """

    declared: Declared
    """What the trick declares, set by the decorator `trick`."""

    # ---- the plan: what a recipe means, before anything is built

    @Hook(when="plan", gives="a mapping from fields to values", check=is_a(Mapping), plain=True)
    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        """Return values for fields that the recipe leaves unset, by trick and field: ``{"lr warmup epochs": 5}``.

        ``context`` holds what the recipe states.
        """
        return {}

    @Hook(when="plan", gives="a mapping from settings to values", check=is_a(Mapping), plain=True)
    def configure(self, training: Training) -> Mapping[str, Any]:
        """Return the settings that this trick makes: ``{"batch": 256}``. ``training`` holds those made before it."""
        return {}

    @Hook(when="plan", gives="an iterable of warnings, each a string", check=is_several(str))
    def check(self, plan: PlanView) -> Iterable[str]:
        """Return warnings about this trick in this plan. To reject the plan, raise the error that `fail` returns."""
        return ()

    @Hook(when="plan", gives="an iterable of Evidence", check=is_several(Evidence))
    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        """Return the evidence in published tables for or against this trick in this plan."""
        return ()

    @Hook(when="plan", gives="a mapping from names of metrics to `max` or `min`", check=is_modes, plain=True)
    def metric_modes(self) -> Mapping[str, str]:
        """Return the names of the metrics that `metrics` returns, each with ``max`` if higher values are better, or
        ``min``."""
        return {}

    # ---- the compiler

    @Hook(
        when="compile",
        gives="a whole number or None",
        check=is_count_or_none,
        slots=("data",),
        lets=UNREADABLE,
        plain=True,
    )
    def count_classes(self) -> int | None:
        """Return the number of classes of the images, if it is known before they are opened."""
        return None

    @Hook(when="compile", gives="a torch.nn.Module", check=is_module, slots=("base",), lets=(Exception,))
    def build(self, classes: int | None) -> torch.nn.Module:
        """Return the stock model with this number of outputs (None: its default) and newly initialized weights.

        Any exception that it raises means that the model can't be built (E102).
        """
        raise NotImplementedError

    @Hook(when="compile", gives="a whole number of pixels", check=is_count, slots=("base",), plain=True)
    def image_size(self) -> int:
        """Return the height and width, in pixels, of the images that the stock model was designed for."""
        return 224

    @Hook(
        when="compile",
        gives="a mapping from names to tensors",
        check=is_by_name(is_tensor),
        slots=("base",),
        formerly="weight_shapes",
    )
    def meta_weights(self) -> Mapping[str, torch.Tensor]:
        """Return the pretrained weights that the recipe requests, by name, on the meta device. Downloads nothing.

        Those with the name, the shape and the type of a tensor of the rewritten model are loaded later. `Weights` also
        have notes about where they are from, or state that they are unknown until they are loaded.
        """
        return {}

    @Hook(when="compile", gives="a Preprocessing or None", check=is_a(Preprocessing, type(None)), slots=("base",))
    def preprocessing(self) -> Preprocessing | None:
        """Return the inputs that the pretrained weights were trained on, or None if unknown.

        A run that feeds others warns about it.
        """
        return None

    @Hook(when="compile", gives="a sequence of sequences of names", check=is_names, slots=("base",))
    def class_names(self) -> Sequence[Sequence[str]]:
        """Return the names of each class of the pretrained weights, in the order of the outputs, or nothing if unknown.

        The first name of a class is shown. A dataset may call the class by any of them. It isn't called for the weights
        of a run or an export, which state their classes.
        """
        return ()

    @Hook(when="compile", gives="an iterable of Site or None", check=is_several_or_none(Site), slots=GRAPH, code="E105")
    def rewrite(self, net: Net) -> Iterable[Site] | None:
        """Return a `Site` for each place in the network that the trick changes, with the edits that it needs.

        None says that its values ask for no change. Without a site, a statement is an error. The summary of this
        method, or that of the trick if it has none, describes the edits, in this error and in exports of source.
        """
        return ()

    @Hook(
        when="compile",
        gives="a mapping from options to values",
        check=is_options,
        slots=("groups",),
        formerly="group",
        plain=True,
    )
    def param_options(
        self, name: str, parameter: torch.Tensor, module: torch.nn.Module, place: ParamPlace
    ) -> Mapping[str, Any]:
        """Return options for one parameter: ``{"weight_decay": 0.0, "lr_scale": 0.1}``.

        ``lr_scale`` is a factor of the learning rate; those of several tricks multiply. Besides ``weight_decay``, an
        option can be any other one of the recipe's optimizer, such as ``momentum``. ``place.depth`` is the depth of
        the parameter in the stock model, and ``place.head`` whether it belongs to a head.
        """
        return {}

    @Hook(when="compile", gives="a mapping from names to addresses", check=is_by_name(is_a(str)), slots=("loss terms",))
    def features(self, net: Net) -> Mapping[str, str]:
        """Return the layers whose outputs `loss_term` reads, by names of your choice: ``{"last": "layer4"}``.

        ``net`` is the rewritten model. The address is that of a module, such as ``layer4`` or ``layer4.1.conv1``.
        """
        return {}

    @Hook(
        when="compile",
        gives="a whole number or None",
        check=is_count_or_none,
        slots=("data",),
        lets=UNREADABLE,
        plain=True,
    )
    def count_images(self) -> int | None:
        """Return the number of training images, if it is known before they are opened."""
        return None

    # ---- training, before the first step

    @Hook(
        when="train",
        gives="Sets of images",
        check=is_sets,
        slots=("data",),
        lets=(*UNREADABLE, MemoryError, RuntimeError),
    )
    def open(self) -> Sets:
        """Return the images for training and evaluation. The trick must have the fields ``size`` and ``workers``."""
        raise NotImplementedError

    @Hook(when="train", gives="a string or None", check=is_a(str, type(None)), slots=("base",))
    def download(self) -> str | None:
        """Return what `load_weights` downloads first, such as a URL, or None if it doesn't use the network.

        `recipe run --dry-run` loads the weights unless they have to be downloaded. To report that they can't be, raise
        the error that `fail` returns.
        """
        return None

    @Hook(when="train", gives="a mapping from names to tensors", check=is_by_name(is_tensor), slots=("base",))
    def load_weights(self) -> Mapping[str, torch.Tensor]:
        """Return the pretrained weights, by name."""
        return {}

    @Hook(when="train", gives="a torch.optim.Optimizer", check=is_optimizer, slots=("optimizer",))
    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        """Return the optimizer for the parameter groups. Its `step` must work without a closure.

        The learning rate is written to ``group["lr"]`` before each step. ``rate`` is the rate before all factors. An
        optimizer that applies weight decay has ``weight_decay`` among its ``defaults``.
        """
        raise NotImplementedError

    @Hook(when="train", gives="a number of at least 0 for each class (K,)", check=is_class_weights, slots=("loss",))
    def class_weights(self, counts: Indices) -> Floats:
        """Return the weight of each class in the cross entropy: (K,), for the number of training images of each one.

        The weight of class k multiplies the part of the loss that belongs to it in a target, and losses are then
        averaged over the batch. Losses on held-out images are not weighted.
        """
        raise NotImplementedError

    # ---- each step: the batch

    @Hook(
        when="each epoch",
        gives="as many indices of images as there are, int64 (N,)",
        check=is_order,
        slots=("order",),
    )
    def epoch_order(self, labels: Indices, draws: Draws) -> Indices:
        """Return the images of an epoch in the order in which they are used: indices from 0, int64 (N,).

        An image may occur several times, or not at all. ``labels`` are the classes of all N training images, and
        ``draws`` has a row for each. A second occurrence in an epoch is augmented with other draws than the first.
        """
        raise NotImplementedError

    @Hook(
        when="each step",
        gives="a number of at least 0",
        check=is_factor,
        slots=("lr", "schedule"),
        formerly="factor",
        plain=True,
    )
    def lr_factor(self, progress: Progress) -> float:
        """Return a factor for the learning rate."""
        return 1.0

    @Hook(
        when="each batch",
        gives="an array of boxes (N, 4) with positive sides",
        check=is_boxes,
        slots=("crop",),
        formerly="box",
        spans=True,
    )
    def crop_box(self, draws: Draws, heights: Floats, widths: Floats) -> Floats:
        """Return the part of each image to use: (N, 4) of top, left, height and width in pixels."""
        raise NotImplementedError

    @Hook(
        when="each batch",
        gives="images of the same shape (N, 3, H, W), dtype and device",
        check=is_like_first,
        slots=("inputs",),
        spans=True,
    )
    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return images (N, 3, H, W), float32 in [0, 1], each changed separately."""
        raise NotImplementedError

    @Hook(
        when="each batch",
        gives="targets of the same shape (N, K), dtype and device",
        check=is_like_first,
        slots=("targets",),
        formerly="soften",
        spans=True,
    )
    def smooth_targets(self, targets: torch.Tensor) -> torch.Tensor:
        """Return softened target distributions (N, K), each changed separately."""
        raise NotImplementedError

    @Hook(
        when="each batch",
        gives="images (N, 3, H, W) and targets (N, K) of the same dtypes and device",
        check=is_mixed,
        slots=("mix",),
        spans=True,
    )
    def mix(self, images: torch.Tensor, targets: torch.Tensor, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (N, 3, H, W) and targets (N, K), mixed. Images 2k and 2k + 1 are partners."""
        raise NotImplementedError

    @Hook(
        when="each step",
        gives="a whole number of pixels from 1 to the side",
        check=is_side,
        slots=("resolution",),
        plain=True,
    )
    def resolution(self, side: int, progress: Progress) -> int:
        """Return the height and width, in pixels, of a step's images, from 1 to ``side``, their original size."""
        raise NotImplementedError

    @Hook(
        when="each step",
        gives="an iterable of names of parameters and addresses of modules",
        check=is_several(str),
        slots=("frozen",),
        spans=True,
    )
    def frozen(self, net: Net, progress: Progress) -> Iterable[str]:
        """Return what not to train at a step: any of the ``net.parameter_names``, and addresses of modules.

        A frozen module is in evaluation mode, with all its parameters: it normalizes by its running statistics, which
        don't change, and drops nothing out. If only its parameters are named, it computes as in training. ``net`` is
        the model being trained. When the recipe is compiled, the hook is called with the model on the meta device. If
        it doesn't look at ``progress`` then, what it returns is frozen for the entire training.
        """
        return ()

    # ---- after the forward pass

    @Hook(
        when="each batch",
        gives="a tensor with one number that depends on the logits",
        check=is_loss,
        slots=("loss",),
        formerly="judge",
        spans=True,
    )
    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits (N, K) against target distributions (N, K): one number, the mean over the batch.

        It replaces cross entropy.
        """
        raise NotImplementedError

    @Hook(
        when="each batch",
        gives="a tensor with one number",
        check=is_term,
        slots=("loss terms",),
        formerly="penalise",
        spans=True,
    )
    def loss_term(self, context: LossContext) -> torch.Tensor:
        """Return a term to add to the loss: one number, the mean over the batch."""
        raise NotImplementedError

    # ---- after the backward pass

    @Hook(
        when="each step",
        gives="an offset for each weight, of its shape, dtype and device",
        check=is_like_each,
        slots=("perturbation",),
        spans=True,
    )
    def perturb(self, weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return offsets from the weights. The update uses the gradients of the same batch at the offset weights."""
        raise NotImplementedError

    @Hook(
        when="each step",
        gives="a tensor for each gradient, of its shape, dtype and device",
        check=is_like_each,
        slots=("grads",),
        spans=True,
    )
    def adjust(
        self, gradients: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress
    ) -> Sequence[torch.Tensor]:
        """Return changed gradients for all weights that have one: new tensors, or the same ones changed in place."""
        return gradients

    # ---- after the update

    @Hook(
        when="each step",
        gives="None (it changes the averages in place)",
        check=is_a(type(None)),
        slots=("average",),
    )
    def average(self, averages: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress) -> None:
        """Merge the weights after an update, and running statistics, into their averages, in place.

        The averages start as the initial weights.
        """
        raise NotImplementedError

    # ---- after each evaluation

    @Hook(
        when="each evaluation", gives="a mapping from names of metrics to finite numbers", check=is_metrics, plain=True
    )
    def metrics(self, logits: torch.Tensor, labels: torch.Tensor) -> Mapping[str, float]:
        """Return metrics of the held-out images, from their logits (N, K) in float32 and labels (N,), on the CPU.

        It is called in the first process only, with the images of all processes. It returns exactly the metrics that
        `metric_modes` names.
        """
        return {}

    @Hook(when="each evaluation", gives="True or False", check=is_a(bool), plain=True)
    def stop(self, history: Sequence[EvaluationResult]) -> bool:
        """Return whether the training ends now, from all evaluations so far, the last one last.

        It is called in the first process only, and not after the last epoch.
        """
        return False

    # ---- export

    @Hook(when="export", gives="a Layer or None", check=is_a(Layer, type(None)), slots=("base",))
    def constructor(self, classes: int) -> Layer | None:
        """Return the torchvision or timm call that makes the stock model, as a `Layer`, or None if no such call exists.

        Exported source makes the model with this call.
        """
        return None

    def overrides(self, hook: str) -> bool:
        """Whether this trick implements a hook."""
        return getattr(type(self), hook) is not getattr(Trick, hook)


HOOKS: Mapping[str, Hook] = hooks_of(Trick)
"""Every hook of `Trick`, in the order in which they are called."""

REPORTING = ("check", "evidence", "features")
"""Hooks that change no step, so that a trick which is limited to a part of a training may have them."""

RESERVED = ("declared", "overrides", "api_version")
"""The attributes of a trick other than its hooks and fields."""
