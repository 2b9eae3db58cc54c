"""A compiled recipe: the rewritten model, the edits made to it, and its costs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs
import torch
from torch import fx, nn

from recipe.base import notebook
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import fail
from recipe.base.public import public, undisturbed
from recipe.base.wording import plural
from recipe.compiler.fit import Fit
from recipe.compiler.freezing import Freezing
from recipe.compiler.groups import begin_momentum, groups_of, members, optimizer_groups, set_rate, trained
from recipe.compiler.identity import are_equal, changed_part, own_digest
from recipe.compiler.summary import FROZEN, Group
from recipe.compiler.weights import materialise
from recipe.graph.cost import Costs
from recipe.graph.depth import Depths
from recipe.graph.edits import Edit, Site
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.field_contracts import WEIGHTS
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training


@attrs.frozen
class Step:
    """The sites of one trick in the graph: those that it edited, and those that needed no edits."""

    word: str
    sites: tuple[Site, ...]

    @property
    def edits(self) -> tuple[Edit, ...]:
        return tuple(edit for site in self.sites for edit in site.edits)

    @property
    def changed(self) -> int:
        """The number of sites that were edited."""
        return sum(bool(site.edits) for site in self.sites)

    @property
    def note(self) -> str:
        """A one-line summary of the step."""
        if not self.sites:
            return f"{self.word}: nothing to do, all weights are already set"
        already = len(self.sites) - self.changed
        parts = [plural(self.changed, "site")] if self.changed else []
        parts += [f"already applied at {plural(already, 'site')}"] if already else []
        return f"{self.word}: {', '.join(parts)}"


@attrs.frozen(eq=False, slots=False)
class Program:
    """A compiled recipe: the rewritten model, the edits made to it, its costs, and the training settings."""

    plan: Plan
    """The plan that was compiled."""
    steps: tuple[Step, ...]
    """A step for each trick that looked at the graph, in order, with its ``word``, ``sites``, ``edits`` and
    ``note``."""
    costs: Costs
    """Parameters, MACs and activations of a forward pass for one image, in total and, in ``costs.stages``, by stage."""
    classes: int
    """The number of outputs of the model."""
    fates: Mapping[str, str]
    """The fate of every parameter of the stock model and the rewritten one: ``kept``, ``reinitialised``, ``new``,
    ``loaded`` or ``dropped``."""
    groups: tuple[Group, ...]
    """The trainable parameters, grouped by their optimizer options, including those that a run freezes."""
    depths: Depths
    """The depth of each parameter, or nothing if unknown or not needed."""
    freezing: Freezing
    """What a run freezes."""
    structure: fx.GraphModule
    """The rewritten graph on the meta device, without weights."""
    module: nn.Module | None = None
    """The model of your own that was passed as ``base``, or None."""
    device: str = "cpu"
    """The name of the device of `model`."""
    size: int | None = None
    """The height and width of the images that was passed to `recipe.compile`, or None."""
    fit: Fit | None = None
    """What the weights that the recipe's `weights=` names set, or None if they are not loaded."""
    narrow: str = ""
    """The name of a convolution whose stride is larger than its input, or empty. See `Precision.suited`."""
    mismatches: tuple[Diagnostic, ...] = ()
    """Warnings about the model and, once the images are open, about the training on them."""
    _model: list[fx.GraphModule] = attrs.field(factory=list, repr=False)

    def __repr__(self) -> str:
        costs, device = self.costs, "" if self.device == "cpu" else f" on {self.device}"
        name = " + ".join([self.plan.model, *(step.word for step in self.layer_steps if step.changed)])
        size = f"{costs.params:,} params, {costs.macs / 1e9:.3g} G MACs at {costs.size}×{costs.size}"
        return f"Program({name}: {size}, {plural(self.classes, 'output')}{device}; plan {self.plan.digest})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the costs by stage, and what each trick did."""
        costs = self.costs
        heading = ("stage", "params", "MACs", "activations")
        rows = [*costs.stages.items(), ("total", costs)]
        shown = [(name, f"{cost.params:,}", f"{cost.macs:,}", f"{cost.activations:,}") for name, cost in rows]
        about, notes = notebook.paragraphs([repr(self)]), notebook.paragraphs(self.notes)
        return about + notebook.table([heading, *shown], (1, 2, 3)) + notes

    @property
    def training(self) -> Training:
        """The training settings of the plan."""
        return self.plan.training

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The warnings about the plan, its model and its images."""
        return (*self.plan.warnings, *self.mismatches)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, in the order they were applied."""
        return tuple(edit for step in self.steps for edit in step.edits)

    @property
    def layer_steps(self) -> list[Step]:
        """The steps of tricks that change layers, not only initial values."""
        changing = {use.word for use in self.plan.uses if use.declared.changes_layers}
        return [step for step in self.steps if step.word in changing]

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each trick that looked at the graph, and those about the weights that are loaded."""
        return (*(self.fit.notes if self.fit else ()), *(step.note for step in self.steps))

    altered: bool = False
    """Whether the weights of `model`, or which of them are trained, have been changed since it was built."""

    @cached_property
    def identity(self) -> str:
        """The plan's digest. For a user's own model or weights, the digest also covers its code and weights."""
        if self.altered:
            return own_digest(self.plan.digest, self.model, self.model)
        return self.plan.digest if self.module is None else own_digest(self.plan.digest, self.structure, self.module)

    def as_changed(self) -> Program:
        """Return the program with what has been changed in `model` since it was built, to train it.

        Raises `RecipeError` (E102) if that is more than its weights and which of them are trained.
        """
        if not self._model or self.device == "meta":
            return self
        fresh = self.materialise()
        if part := changed_part(self.model, fresh):
            message = f"{part} of the program's model has been changed since it was compiled"
            help = "compile the changed model: `recipe.compile(…, base=program.model)`"
            raise fail("E102", message, self.plan.base.span, help=help)
        if are_equal(self.model, fresh):
            return self
        return attrs.evolve(self, altered=True, groups=groups_of(self.plan, self.model, self.depths))

    def unchanged_base(self) -> nn.Module | None:
        """Return `module`, to compile the program again. Raises `RecipeError` (E102) if that would lose changes."""
        if self.as_changed() is not self:
            message = "the program's model has been changed since it was compiled, which compiling it again would lose"
            raise fail("E102", message, help="compile the changed model: `recipe.compile(…, base=program.model)`")
        return self.module

    @property
    def sites(self) -> dict[str, int]:
        """The number of sites that each trick edited."""
        return {step.word: step.changed for step in self.steps}

    @property
    def model(self) -> fx.GraphModule:
        """The rewritten model with its initial weights. Built on first access; the same seed gives the same weights."""
        with undisturbed():
            if not self._model:
                self._model.append(self.structure if self.device == "meta" else self.materialise().to(self.device))
            return self._model[0]

    @public()
    def lr(self, step: int, steps_per_epoch: int | None = None) -> float:
        """Return the learning rate of a step, before the factors of single parameter groups.

        Args:
            step: The index of the step, counted from 0 since the start of the training.
            steps_per_epoch: The number of steps in each epoch. Defaults to that of the recipe's dataset.

        Raises:
            RecipeError: If the images can't be read.
            ValueError: If ``step`` is negative, or ``steps_per_epoch`` is less than 1 or missing and unknown.
        """
        if steps_per_epoch is None:
            images = self.plan.count("count_images")
            if images is None:
                raise ValueError("`steps_per_epoch` is needed: the number of training images is not known")
            steps_per_epoch = self.training.steps(images)
        if step < 0 or steps_per_epoch < 1:
            raise ValueError(f"there is no step {step} in epochs of {plural(steps_per_epoch, 'step')}")
        training = self.training
        return self.plan.learning_rate(Progress(step, steps_per_epoch, training.epochs, training.warmup))

    @public()
    def set_lr(self, optimizer: torch.optim.Optimizer, step: int, steps_per_epoch: int | None = None) -> float:
        """Write the learning rate of a step to an optimizer's parameter groups, and return it.

        A group with an ``lr_scale`` gets the rate times that factor. The other arguments and the errors are those of
        `lr`.
        """
        rate = self.lr(step, steps_per_epoch)
        set_rate(optimizer, rate)
        return rate

    @public()
    def param_groups(self, model: nn.Module | None = None) -> list[dict[str, Any]]:
        """Return the parameter groups for an optimizer, as the recipe's tricks set their options.

        Args:
            model: `model`, or a copy of it. Move it to its device first. Defaults to `model`.

        Returns:
            The groups as `torch.optim` takes them, with the names of their parameters in ``names``. ``lr_scale`` is a
            factor of the learning rate, which `set_lr` applies and optimizers ignore.

        Raises:
            RecipeError: If the model is not the program's (E102).
        """
        return optimizer_groups(self.groups, self.model if model is None else model)

    @public()
    def optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return the recipe's optimizer for the parameters of a model.

        The argument is that of `param_groups`. Call `set_lr` before each step. Raises `RecipeError`, also if the
        trick that makes the optimizer is broken (E080).
        """
        groups, optimizing = self.param_groups(model), self.plan.hooked("optimize")[0]
        given = [dict(group) for group in groups]
        optimizer: torch.optim.Optimizer = call_hook(optimizing, "optimize", given, self.training.rate)
        if members(optimizer.param_groups) != members(groups):
            why = "the groups of the optimizer must have all given parameters, each with its name in `names`"
            raise broken(optimizing, "optimize", why)
        begin_momentum(optimizer)
        return optimizer

    @property
    def groups_in_force(self) -> tuple[Group, ...]:
        """The parameter groups of a run, and a group of the parameters that are frozen for the entire training."""
        frozen = self.freezing.throughout.parameters
        names = tuple(name for group in self.groups for name in group.names if name in frozen)
        return (*trained(self.groups, frozen), *([Group({FROZEN: True}, names)] if names else ()))

    def check_classes(self, classes: int) -> None:
        """Raise `RecipeError` (E071) if the model has fewer outputs than there are classes."""
        check_outputs(self.plan, self.classes, classes)

    def try_weights(self) -> str:
        """Load the pretrained weights, if there are any, which shows whether they can be loaded.

        Returns a note instead if they have to be downloaded. Raises `RecipeError` (E001).
        """
        if self.fit is None:
            return ""
        base = self.plan.base
        if url := call_hook(base, "download", at=base.place(WEIGHTS)):
            return f"weights: not loaded, since a run downloads them first: {url}"
        self.materialise()
        return ""

    def materialise(self, *, pretrained: bool = True) -> fx.GraphModule:
        """Build the model on the CPU with initial weights, including those that `weights=` names if ``pretrained``."""
        fit = self.fit if pretrained else None
        with undisturbed():
            return materialise(self.plan, self.classes, self.structure, self.edits, self.module, fit)


def check_outputs(plan: Plan, outputs: int, classes: int) -> None:
    """Raise `RecipeError` (E071) if the model of a plan has fewer outputs than there are classes."""
    if outputs < classes:
        message = f"the model has {plural(outputs, 'output')}, but the dataset has {classes} classes"
        raise fail("E071", message, plan.base.span)
