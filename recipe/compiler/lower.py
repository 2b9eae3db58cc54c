"""Lower a plan to a program: build and trace the stock model, apply each trick's rewrite, verify and measure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import fx, nn

from recipe.base.channels import GRAY, RGB
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import plural
from recipe.compiler.features import features_of
from recipe.compiler.fit import Fit, Tensors
from recipe.compiler.freezing import freezing_of
from recipe.compiler.groups import HOOK as OPTIONS
from recipe.compiler.groups import groups_of
from recipe.compiler.identity import settings_of
from recipe.compiler.own_model import compare, copied, lost, see_autocast_kept
from recipe.compiler.program import Program, Step
from recipe.compiler.weights import fit_weights, materialise, stock_model
from recipe.compiler.without_effect import in_model
from recipe.devices.choice import pick
from recipe.graph.apply import EditError, Shapes, account, apply, parameters
from recipe.graph.calls import outputs
from recipe.graph.depth import Depths, depths_after, depths_of
from recipe.graph.edits import Initialise, Site, made_prefixes
from recipe.graph.net import Net
from recipe.graph.shapes import IMAGES, measure, narrow, on_meta, propagate
from recipe.graph.trace import RETURNS, trace
from recipe.language.overlays import module_statement
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use

STEPS_LOOKED_AT = 2000
"""The largest number of steps at which to check the image size that a trick chooses."""

STEPS_PER_EPOCH = 100
"""The length of an epoch if the number of images is unknown."""


@attrs.frozen
class Task:
    """What to compile: a plan, the user's own model for ``base module``, and the device to train on."""

    plan: Plan
    module: nn.Module | None
    device: str
    classes: int | None
    """Number of classes in the images, or None to count them."""
    pretrained: bool = True
    """Whether to look at the pretrained weights that the recipe names."""
    other_classes: bool = False
    """Whether these weights are for other classes than those of the images."""
    size: int | None = None
    """The height and width of the images for a plan without a dataset, or None for those of the stock model."""


@attrs.frozen
class Built:
    """The stock model on the meta device, and its display name."""

    task: Task
    name: str
    model: nn.Module


@attrs.frozen
class Traced:
    """The graph of the stock model, with the shape of every node for images of ``size`` × ``size`` pixels."""

    task: Task
    name: str
    graph: fx.GraphModule
    """Rewritten in place."""
    size: int
    classes: int
    stock: Shapes
    """The parameters of the stock model."""
    state: Tensors
    """The parameters and buffers of the stock model."""
    depths: Depths
    """The depths of its parameters. Empty if they are unknown or not needed."""


@attrs.frozen
class Rewritten:
    """The rewritten graph, and what each trick did to it."""

    traced: Traced
    steps: tuple[Step, ...]
    fit: Fit | None = None
    """How the pretrained weights fit, if there are any."""
    narrow: str = ""
    """The name of a convolution whose stride is larger than its input, or empty."""


def _build(task: Task) -> Built:
    """Build the stock model on the meta device, where it uses no memory."""
    if task.module is not None:
        return _own_model(task, task.module)
    plan = task.plan
    classes = plan.asked_classes or task.classes or plan.count("count_classes")
    model = on_meta(lambda: stock_model(plan, classes))
    if part := lost(model):
        raise broken(plan.base, "build", part[0], help=part[1])
    return Built(task, plan.model, model)


def _own_model(task: Task, module: nn.Module) -> Built:
    """Copy the user's own model, and check that the recipe does not name another one."""
    base = task.plan.base
    given = [name for name, origin in base.origins.items() if origin.kind in ("file", "override")]
    if f"{base.word} {base.first}" != module_statement() or set(given) - {base.declared.fields[0].name}:
        help = f"remove `base` from the recipe, or write `{module_statement()}`"
        raise fail(
            "E023", f"the recipe has `{base.statement()}`, but a model was passed as `base=`", base.span, help=help
        )
    return Built(task, type(module).__name__, copied(module, base.span))


def _trace(built: Built) -> Traced:
    """Trace the model into a graph and compute the shape of every node. The images must fit."""
    plan = built.task.plan
    module = built.task.module
    untraced = copy.deepcopy(built.model) if module is not None else None
    graph = trace(built.model, built.name)
    size = plan.image_fields.size if plan.image_fields else built.task.size or call_hook(plan.base, "image_size")
    try:
        classes = _logits(graph, size, built.name)
    except RecipeError as error:
        raise _unfit(error, graph, built) from error.__cause__
    if module is not None and built.task.device != "meta":
        compare(module, materialise(plan, classes, graph, (), module, None), size, plan.base.span)
    if untraced is not None:
        see_autocast_kept(untraced, graph, plan.base.span)
    depths = depths_of(built.model, Net(graph)) if plan.hooked(OPTIONS) else {}
    return Traced(built.task, built.name, graph, size, classes, parameters(graph), graph.state_dict(), depths)


def _unfit(error: RecipeError, graph: fx.GraphModule, built: Built) -> RecipeError:
    """Return the error for images that a model can't process (E103), or for one of neither gray nor RGB images."""
    (problem,), plan = error.diagnostics, built.task.plan
    if problem.code != "E103":
        return error
    stem = Net(graph).stem
    if stem is not None and stem[1].in_channels not in (GRAY, RGB):
        message = f"`{stem[0]}` of `{built.name}` takes {plural(stem[1].in_channels, 'channel')}"
        help = f"let it take {RGB} channels, or {GRAY} for gray images: no more are supported"
        return fail("E102", message, plan.base.span, help=help)
    if plan.images is None:
        help = "pass another `size=` to `recipe.compile`, or name a dataset; some models accept only one size"
        problem = attrs.evolve(problem, help=help)
    return RecipeError(problem)


def _logits(graph: fx.GraphModule, size: int, name: str) -> int:
    """Compute the shape of every node, and return the number of logits. They must be floats (N, classes)."""
    result, heads, aux = propagate(graph, size, name), graph.graph.output_node().args[0], []
    if isinstance(heads, fx.Node) and heads.target is outputs:
        result, *aux = result
    if not isinstance(result, torch.Tensor):
        raise fail("E102", f"`{name}` must return logits, not {type(result).__name__}", help=RETURNS)
    if result.ndim != 2 or result.shape[0] != IMAGES or not result.shape[1]:
        shape = f"{(*result.shape,)} for {IMAGES} images"
        raise fail("E102", f"`{name}` returns an output of shape {shape}, not logits (N, classes)", help=RETURNS)
    if not result.is_floating_point():
        raise fail("E102", f"`{name}` returns {str(result.dtype).removeprefix('torch.')}, not floats", help=RETURNS)
    other = next((head for head in aux if getattr(head, "shape", None) != result.shape), None)
    if other is not None:
        shapes = f"{(*result.shape,)} and {(*getattr(other, 'shape', ()),)}"
        raise fail("E102", f"`{name}` returns logits and auxiliary logits of the shapes {shapes}", help=RETURNS)
    return int(result.shape[1])


def _rewrite(traced: Traced) -> Rewritten:
    """Let each trick rewrite the graph, in the solved order. Verify shapes and parameters after each one."""
    graph, name, steps = traced.graph, traced.name, list[Step]()
    for use in traced.task.plan.hooked("rewrite"):
        sites = _sites(graph, use)
        if sites is None:
            continue
        if not sites:
            raise fail(
                "E101",
                f"`{use.word}` has no site in `{name}`",
                use.span,
                help=f"{use.rewriting} `{name}` has no matching layers.",
            )
        step, before = Step(use.word, sites), parameters(graph)
        try:
            apply(graph, step.edits)
        except EditError as error:
            message = f"`{use.word}` from {use.declared.package} can't be applied to `{name}`: {error}"
            raise fail("E105", message, use.span) from error
        if not all(isinstance(edit, Initialise) for edit in step.edits):  # otherwise the graph is unchanged
            _still_fits(traced, use)
        account(use.word, before, parameters(graph), step.edits)
        steps.append(step)
    _in_channels(traced)
    return Rewritten(traced, tuple(steps))


def _in_channels(traced: Traced) -> None:
    """Check that the model takes images in the channels that the recipe states. Raises `RecipeError` (E102)."""
    plan, net = traced.task.plan, Net(traced.graph)
    wanted = plan.training.channels
    if net.stem is not None and net.channels != wanted:
        message = (
            f"`{net.stem[0]}` of `{traced.name}` takes {plural(net.channels, 'channel')}, but images have {wanted}"
        )
        raise fail("E102", message, plan.base.span, help=f"state `input channels={net.channels}`")


def _still_fits(traced: Traced, use: Use) -> None:
    """Recompute the shapes of the rewritten graph. Images that no longer fit are reported as an error in the trick.

    A rewrite must not change the number of logits.
    """
    name = f"{traced.name} with {use.word}"
    try:
        logits = _logits(traced.graph, traced.size, name)
        if logits != traced.classes:
            raise fail("E105", f"`{name}` returns {plural(logits, 'logit')} instead of {traced.classes}")
    except RecipeError as error:
        help = f"the images fit without `{use.word}` from {use.declared.package}: remove it, or set a larger `size=`"
        its = (attrs.evolve(d, span=use.span, help=help if d.code == "E103" else d.help) for d in error.diagnostics)
        raise RecipeError(*its) from error


def _sites(graph: fx.GraphModule, use: Use) -> tuple[Site, ...] | None:
    """Return the sites that a trick finds, or None if it asks for no change.

    A hook that changes the graph itself is reported as an error.
    """
    before = _fingerprint(graph)
    found = call_hook(use, "rewrite", Net(graph))
    sites = tuple(found or ())
    if changed := [address for address, what in _fingerprint(graph).items() if before.get(address) != what]:
        help = "return edits instead, so that they can be reported, compared and exported"
        raise broken(use, "rewrite", f"it changes `{changed[0]}` directly", help=help)
    places = [site.where for site in sites]
    if twice := [place for place in places if places.count(place) > 1]:
        raise broken(
            use, "rewrite", f"several sites have the address `{twice[0]}`", help="give each site its own address"
        )
    return None if found is None else sites


def _fingerprint(graph: fx.GraphModule) -> dict[str, object]:
    """Return what a rewrite may read but not change: the graph, and each module's settings and parameters."""
    looked_at: dict[str, object] = {
        "the graph": [(node.name, node.op, node.target, node.args) for node in graph.graph.nodes]
    }
    for address, module in graph.named_modules():
        tensors = {name: id(value) for name, value in module._parameters.items()}
        looked_at[address or "the model"] = (settings_of(module), tensors)
    return looked_at


def _load(rewritten: Rewritten) -> Rewritten:
    """Match the pretrained weights with the rewritten model, and initialize nothing that keeps other values.

    Loaded parameters keep their values, and a user's own keep theirs unless the recipe itself has ``init``.
    """
    traced, steps = rewritten.traced, rewritten.steps
    plan, edits, fit = traced.task.plan, [edit for step in steps for edit in step.edits], None
    if traced.task.module is None and traced.task.pretrained:
        task = traced.task
        fit = fit_weights(
            plan, traced.graph, traced.name, traced.state, edits, task.other_classes, task.device != "meta"
        )
    loaded, made = frozenset(fit.loaded if fit else ()), made_prefixes(edits)
    own = frozenset(name for name in traced.stock if traced.task.module is not None and not name.startswith(made))
    implied = {use.word for use in plan.hooked("rewrite") if use.origin.kind == "dialect"}
    left = []
    for step in steps:
        protected = loaded | own if step.word in implied else loaded
        sites = (_without(site, protected) for site in step.sites)
        left.append(Step(step.word, tuple(site for site in sites if site is not None)))
    return attrs.evolve(rewritten, steps=tuple(left), fit=fit)


def _without(site: Site, protected: frozenset[str]) -> Site | None:
    """Return a site without the initialization of protected parameters, or None if nothing is left."""
    edits = tuple(e for e in site.edits if not (isinstance(e, Initialise) and e.parameter in protected))
    return None if site.edits and not edits else attrs.evolve(site, edits=edits)


def smallest(plan: Plan, side: int) -> int:
    """Return the smallest side, in pixels, to which a plan's tricks resize images of ``side`` during training."""
    uses, training = plan.hooked("resolution"), plan.training
    if not uses:
        return side
    images = plan.count("count_images")
    per_epoch = training.steps(images) if images else STEPS_PER_EPOCH
    last = training.epochs * per_epoch - 1
    looked_at = min(last + 1, STEPS_LOOKED_AT)
    steps = {index * last // max(1, looked_at - 1) for index in range(looked_at)}
    at = [Progress(step, per_epoch, training.epochs, training.warmup) for step in sorted(steps)]
    sides: list[int] = [call_hook(use, "resolution", side, step) for use in uses for step in at]
    return min([side, *sides])


def _resize(rewritten: Rewritten) -> Rewritten:
    """Check that the images also fit at the smallest size to which a trick resizes them, and at that of evaluation."""
    traced = rewritten.traced
    small, found = smallest(traced.task.plan, traced.size), narrow(traced.graph)
    others = {small, traced.task.plan.training.evaluation_size or traced.size} - {traced.size}
    try:
        for side in sorted(others):
            propagate(traced.graph, side, traced.name)
            found = found or narrow(traced.graph)
    finally:
        if others:
            propagate(traced.graph, traced.size, traced.name)
    return attrs.evolve(rewritten, narrow=found)


def _account(rewritten: Rewritten) -> Program:
    """Record the fate of every parameter, and measure the costs of the result."""
    traced, steps = rewritten.traced, rewritten.steps
    task, costs = traced.task, measure(traced.graph, traced.size)
    features_of(task.plan, traced.graph)  # reports addresses that the model doesn't have
    module = task.module
    if module is not None and task.device != "meta":
        module = copy.deepcopy(module)  # its weights may change before they are needed
    depths = depths_after(traced.depths, [edit for step in steps for edit in step.edits], Net(traced.graph))
    program = Program(
        plan=task.plan,
        steps=steps,
        costs=costs,
        classes=traced.classes,
        fates=_fates(traced, steps, rewritten.fit),
        groups=groups_of(task.plan, traced.graph, depths),
        depths=depths,
        freezing=freezing_of(task.plan, traced.graph),
        structure=traced.graph,
        module=module,
        device=task.device,
        size=task.size,
        fit=rewritten.fit,
        narrow=rewritten.narrow,
    )
    return attrs.evolve(program, mismatches=(*in_model(program),))


def _fates(traced: Traced, steps: Sequence[Step], fit: Fit | None) -> dict[str, str]:
    """Return the fate of every parameter of the stock model and of the rewritten one."""
    final, fates, loaded = parameters(traced.graph), dict[str, str](), frozenset(fit.loaded if fit else ())
    filled = {edit.parameter for step in steps for edit in step.edits if isinstance(edit, Initialise)}
    made = made_prefixes(edit for step in steps for edit in step.edits)
    for name in dict.fromkeys([*traced.stock, *final]):
        if name not in final:
            fates[name] = "dropped"
        elif name in loaded:
            fates[name] = "loaded"
        elif name.startswith(made):
            fates[name] = "new"
        else:
            fates[name] = "reinitialised" if name in filled else "kept"
    return fates


PASSES: tuple[Callable[[Any], Any], ...] = (_build, _trace, _rewrite, _load, _resize, _account)
"""The passes, in order. Each takes the result of the one before it, from a `Task` to a `Program`."""


def lower(
    plan: Plan,
    *,
    base: nn.Module | None = None,
    device: str = "cpu",
    classes: int | None = None,
    pretrained: bool = True,
    other_classes: bool = False,
    size: int | None = None,
) -> Program:
    """Compile a plan. ``base`` is the user's own model, for a plan with ``base module``.

    ``classes`` is the number of classes of the plan's images, if they are already open. ``pretrained=False`` compiles
    without the pretrained weights that the recipe names, for a model that gets others. ``other_classes`` keeps the
    heads of these weights out of the model, since they are for other classes than those of the images. ``size`` is the
    height and width of the images, for a plan without a dataset.
    """
    if device != "meta":
        pick(device)
    state: Any = Task(plan, base, device, classes, pretrained, other_classes, size)
    for run in PASSES:
        state = run(state)
    program: Program = state
    return program
