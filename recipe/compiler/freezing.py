"""What the tricks of a plan freeze: some of it for the entire training, the rest at some steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
from torch import fx, nn

from recipe.base.errors import RecipeError, fail
from recipe.graph.calls import MODE, by_mode
from recipe.graph.net import Net, module_stack
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use

HOOK = "frozen"


@attrs.frozen
class Frozen:
    """What is not trained."""

    parameters: frozenset[str] = frozenset()
    """The names of parameters, including all those of the modules."""
    modules: frozenset[str] = frozenset()
    """The addresses of modules that are in evaluation mode."""

    def __or__(self, other: Frozen) -> Frozen:
        return Frozen(self.parameters | other.parameters, self.modules | other.modules)

    def covers(self, other: Frozen) -> bool:
        """Whether another one freezes nothing more."""
        around = (*(f"{address}." for address in self.modules),)
        return other.parameters <= self.parameters and all(
            f"{address}.".startswith(around) for address in other.modules
        )

    def layers(self, model: nn.Module) -> Iterator[nn.Module]:
        """Yield the modules that are in evaluation mode, with those in them."""
        for address in self.modules:
            yield from model.get_submodule(address).modules()


@attrs.frozen(eq=False)
class Freezing:
    """What the tricks of a plan freeze in a model."""

    net: Net
    """The model as tricks see it. Its ``parameter_names`` include those that are frozen for the entire training."""
    throughout: Frozen
    """What is frozen for the entire training."""
    changing: tuple[tuple[Use, Frozen | None], ...]
    """The tricks that freeze something at some steps: always the same, or None if it may change with the progress."""
    each: tuple[tuple[Use, Frozen | None], ...]
    """What each trick freezes, as in ``changing``."""

    def at(self, progress: Progress) -> Frozen:
        """Return what is frozen at a step. Raises `RecipeError` if that is everything (E102), or by a broken trick."""
        frozen = self.throughout
        for use, same in self.changing:
            if use.during.holds(progress):
                frozen |= frozen_by(use, self.net, progress) if same is None else same
        return _but_not_all(frozen, self.net)

    def of(self, model: fx.GraphModule) -> Freezing:
        """Return the same for another model of the same form."""
        net = Net(model)
        net.parameter_names  # noqa: B018 - kept, before some no longer ask for gradients
        return attrs.evolve(self, net=net)


def freezing_of(plan: Plan, structure: fx.GraphModule) -> Freezing:
    """Return what the tricks of a plan freeze, from the graph of its model on the meta device.

    A trick that doesn't look at the progress freezes the same at each step, since its result depends only on its
    arguments, and weights on the meta device have no values. A trick that is broken here is called again in training.
    Raises `RecipeError` for an error that a trick itself reports, such as a module that the model doesn't have.
    """
    net, each = Net(structure), list[tuple[Use, Frozen | None]]()
    for use in plan.hooked(HOOK):
        progress = _Watched(Progress(0, 1, plan.training.epochs, plan.training.warmup))
        try:
            frozen = frozen_by(use, net, progress)
        except RecipeError as error:
            if any(problem.code != "E080" for problem in error.diagnostics):
                raise
            each.append((use, None))
            continue
        each.append((use, None if progress.looked_at else frozen))
    throughout, changing = Frozen(), list[tuple[Use, Frozen | None]]()
    for use, same in each:
        if same is None or use.during:
            changing.append((use, same))
        else:
            throughout |= same
    return Freezing(net, _but_not_all(throughout, net), tuple(changing), tuple(each))


def frozen_by(use: Use, net: Net, progress: Any) -> Frozen:
    """Return what a trick freezes at a step. Raises `RecipeError` (E080) if the model has no such part, or for all."""
    names = {id(weight): name for name, weight in net.graph_module.named_parameters()}
    every, parameters, modules = {*net.parameter_names}, set[str](), set[str]()
    for told in call_hook(use, HOOK, net, progress):
        if told in every:
            parameters.add(told)
            continue
        try:
            module = net.graph_module.get_submodule(told)
        except AttributeError:
            raise broken(use, HOOK, f"the model has no parameter or module `{told}`") from None
        modules.add(told)
        parameters |= {names[id(weight)] for weight in module.parameters()} & every
    if parameters == every:
        raise broken(use, HOOK, "it freezes every parameter")
    return Frozen(frozenset(parameters), frozenset(modules))


def own_modes(model: fx.GraphModule) -> None:
    """Let calls that depend on the mode, such as `F.dropout`, use that of the module around them, not of the model.

    Changes the graph in place. The outputs stay the same as long as all modules have the same mode.
    """
    for node in [node for node in model.graph.nodes if node.target is by_mode]:
        user = next(iter(node.users), None)
        around = [part for part in module_stack(user) if part != user.target] if user is not None else []
        if not around:
            continue
        address = f"{around[-1]}.{MODE}"
        model.add_submodule(address, nn.Module())
        with model.graph.inserting_before(node):
            node.args = (model.graph.get_attr(address), *node.args[1:])
    model.graph.lint()
    model.recompile()


def _but_not_all(frozen: Frozen, net: Net) -> Frozen:
    if frozen.parameters and frozen.parameters == {*net.parameter_names}:
        raise fail("E102", "the model has no trainable parameters: together, the tricks freeze all of them")
    return frozen


class _Watched:
    """A progress that records whether it has been looked at."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self.looked_at = progress, False

    def __getattr__(self, name: str) -> Any:
        self.looked_at = True
        return getattr(self._progress, name)
