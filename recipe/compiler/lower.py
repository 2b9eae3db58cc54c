"""From a plan to a program: the stock model is built, traced, rewritten trick by trick, verified and measured."""

from __future__ import annotations

import copy
from collections.abc import Callable

import attrs
from torch import fx, nn

from recipe.base.errors import RecipeError, fail
from recipe.compiler.program import Program, Step
from recipe.compiler.weights import given_names, settings_of, stock_model
from recipe.devices.choice import pick
from recipe.graph.apply import Shapes, account, apply, parameters
from recipe.graph.cost import Costs
from recipe.graph.edits import Initialise, Site, made_prefixes
from recipe.graph.measure import measure
from recipe.graph.net import Net
from recipe.graph.shapes import on_meta, propagate
from recipe.graph.trace import trace
from recipe.language.overlays import module_statement
from recipe.plan.plan import Plan, count
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use

EPOCHS_LOOKED_AT = 100
"""At so many epochs, about, it is looked what size a trick gives the images."""


@attrs.define
class _State:
    """What the passes hand on."""

    plan: Plan
    module: nn.Module | None
    classes: int = 0
    size: int = 0
    name: str = ""
    graph: fx.GraphModule = attrs.field(default=None)
    stock: Shapes = attrs.field(factory=dict)
    given: frozenset[str] = frozenset()
    steps: list[Step] = attrs.field(factory=list)
    costs: Costs = attrs.field(default=None)
    fates: dict[str, str] = attrs.field(factory=dict)


def _build(state: _State) -> None:
    """Build the stock model on the meta device, where it costs no memory."""
    state.name = state.plan.model
    if state.module is not None:
        _own_model(state, state.module)
    else:
        state.graph = on_meta(lambda: stock_model(state.plan, _classes(state.plan)))  # type: ignore[assignment]


def _own_model(state: _State, module: nn.Module) -> None:
    """A copy of the user's own model, which the recipe then must not describe."""
    base = state.plan.base
    given = [name for name, origin in base.origins.items() if origin.kind in ("file", "override")]
    if f"{base.word} {base.first}" != module_statement() or set(given) - {base.declared.fields[0].name}:
        help = f"with base=, leave `base` out of the recipe, or write `{module_statement()}`"
        raise fail("E023", f"the recipe says `{base.statement()}`, and the model is given too", base.span, help=help)
    state.name = type(module).__name__
    names: dict[int, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        owner = names.setdefault(id(parameter), name)
        shared = module.get_submodule(name.rpartition(".")[0]) is module.get_submodule(owner.rpartition(".")[0])
        if owner != name and not shared:
            why = f"`{owner}` and `{name}` are one parameter, which a rewrite would part"
            raise fail("E102", f"`{state.name}` can't be used: {why}", base.span)
    try:
        state.graph = copy.deepcopy(module).to("meta")  # type: ignore[assignment]
    except Exception as error:  # a model's own code raises anything
        raise fail("E102", f"`{state.name}` can't be copied: {error}", base.span) from error


def _classes(plan: Plan) -> int | None:
    """The number of classes that the recipe says, else that of its images, where there are images that can be asked."""
    return plan.asked_classes or count(plan, "count_classes")


def _trace(state: _State) -> None:
    """Trace it into a graph and give every node its shape; the images must fit."""
    images = state.plan.image_fields
    state.graph = trace(state.graph, state.name)
    state.size = images.size if images else call_hook(state.plan.base, "image_size")
    state.classes = _logits(state, state.name)
    state.stock = parameters(state.graph)
    state.given = given_names(state.plan, state.stock)


def _logits(state: _State, name: str) -> int:
    """Give every node its shape; the number of classes that come out, which no rewrite may change."""
    result = propagate(state.graph, state.size, name)
    logits = result[0] if isinstance(result, tuple) else result
    if logits.ndim != 2:
        raise fail("E102", f"`{name}` gives an output of shape {tuple(logits.shape)}, not logits (N, classes)")
    if state.classes not in (0, logits.shape[1]):
        raise fail("E105", f"`{name}` gives {logits.shape[1]} logits instead of {state.classes}")
    return int(logits.shape[1])


def _rewrite(state: _State) -> None:
    """Let every trick rewrite the graph, in the solved order; after each, verify shapes and parameters."""
    for use in state.plan.hooked("rewrite"):
        sites = _sites(state, use)
        if not sites:
            raise fail(
                "E101",
                f"`{use.word}` has no site in `{state.name}`",
                use.span,
                help=f"{_first_line(use)} {state.name} has no such place",
            )
        made = made_prefixes(edit for step in state.steps for edit in step.edits)
        protected = frozenset(name for name in _protected(state, use) if not name.startswith(made))
        left = (_without(site, protected) for site in sites)
        step = Step(use.word, tuple(site for site in left if site is not None))
        before = parameters(state.graph)
        try:
            apply(state.graph, step.edits)
        except (AssertionError, LookupError, AttributeError, TypeError, ValueError, RuntimeError, ImportError) as error:
            reason = str(error.args[0]) if error.args else type(error).__name__
            message = f"`{use.word}` of {use.declared.package} can't be applied to `{state.name}`: {reason}"
            raise fail("E105", message, use.span) from error
        if not all(isinstance(edit, Initialise) for edit in step.edits):  # else the graph is what it was
            _still_fits(state, use)
        account(use.word, before, parameters(state.graph), step.edits)
        state.steps.append(step)


def _still_fits(state: _State, use: Use) -> None:
    """Give the rewritten graph its shapes; images that fitted before and do not now are the trick's doing."""
    try:
        _logits(state, f"{state.name} with {use.word}")
    except RecipeError as error:
        help = f"without `{use.word}` of {use.declared.package} they fit; a larger `size=` of the data set may do too"
        told = (
            attrs.evolve(one, span=use.span, help=help if one.code == "E103" else one.help) for one in error.diagnostics
        )
        raise RecipeError(*told) from error


def _sites(state: _State, use: Use) -> tuple[Site, ...]:
    """The sites that a trick finds; a hook that changes what it only looks at is at fault, and told as such."""
    before = _fingerprint(state.graph)
    sites = tuple(call_hook(use, "rewrite", Net(state.graph)))
    if changed := [address for address, what in _fingerprint(state.graph).items() if before.get(address) != what]:
        help = "let it give edits, which are told, compared and exported"
        raise broken(use, "rewrite", f"it changes `{changed[0]}` itself", help=help)
    places = [site.where for site in sites]
    if twice := [place for place in places if places.count(place) > 1]:
        raise broken(use, "rewrite", f"several sites are at `{twice[0]}`", help="each needs an address of its own")
    return sites


def _fingerprint(graph: fx.GraphModule) -> dict[str, object]:
    """What a rewrite may look at, and must leave alone: the graph, and each module's settings and parameters."""
    found: dict[str, object] = {
        "the graph": [(node.name, node.op, node.target, node.args) for node in graph.graph.nodes]
    }
    for address, module in graph.named_modules():
        tensors = {name: id(value) for name, value in module._parameters.items()}
        found[address or "the model"] = (settings_of(module), tensors)
    return found


def _first_line(use: Use) -> str:
    return (type(use.trick).__doc__ or "").strip().split("\n")[0]


def _protected(state: _State, use: Use) -> frozenset[str]:
    """Parameters that an initialiser leaves alone: loaded ones, and a user's own where no recipe asks for it."""
    implied = use.origin.kind == "dialect" and state.module is not None
    return frozenset(state.stock) if implied else state.given


def _without(site: Site, protected: frozenset[str]) -> Site | None:
    """A site less the initialisation of protected parameters; None where nothing is left of it."""
    edits = tuple(e for e in site.edits if not (isinstance(e, Initialise) and e.parameter in protected))
    return None if site.edits and not edits else attrs.evolve(site, edits=edits)


def smallest(plan: Plan, side: int) -> int:
    """The smallest side, in pixels, that the tricks of a plan give images of ``side`` in the course of the training."""
    epochs = range(0, plan.training.epochs, max(1, plan.training.epochs // EPOCHS_LOOKED_AT))
    progress = [Progress(epoch, 1, plan.training.epochs) for epoch in epochs]
    return min(
        [side, *(int(call_hook(t, "resolution", side, at)) for t in plan.hooked("resolution") for at in progress)]
    )


def _resize(state: _State) -> None:
    """See that images of the smallest size that a trick makes of them fit too."""
    small = smallest(state.plan, state.size)
    if small < state.size:
        try:
            propagate(state.graph, small, state.name)
        finally:
            propagate(state.graph, state.size, state.name)


def _account(state: _State) -> None:
    """Say what became of every parameter."""
    final = parameters(state.graph)
    filled = {edit.parameter for step in state.steps for edit in step.edits if isinstance(edit, Initialise)}
    made = made_prefixes(edit for step in state.steps for edit in step.edits)
    for name in dict.fromkeys([*state.stock, *final]):
        if name not in final:
            state.fates[name] = "dropped"
        elif name.startswith(made):
            state.fates[name] = "new"
        elif name in state.given:
            state.fates[name] = "loaded"
        else:
            state.fates[name] = "reinitialised" if name in filled else "kept"


def _measure(state: _State) -> None:
    """Count what the result costs."""
    state.costs = measure(state.graph, state.size)


PASSES: tuple[Callable[[_State], None], ...] = (_build, _trace, _rewrite, _resize, _account, _measure)
"""The passes, in order. Each takes the state that the one before it left."""


def lower(plan: Plan, *, base: nn.Module | None = None, device: str = "cpu") -> Program:
    """Compile a plan. ``base`` is a model of the user's, for a plan that says ``base module``."""
    if device != "meta":
        pick(device)
    state = _State(plan, base)
    for run in PASSES:
        run(state)
    if base is not None and device != "meta":
        base = copy.deepcopy(base)  # whose weights may change before they are asked for
    return Program(plan, tuple(state.steps), state.costs, state.classes, state.fates, state.graph, base, device)
