"""The initial weights of a compiled program: those of the stock model, loaded ones, and those that edits set."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import shown_path
from recipe.compiler.fit import Fit, Tensors, changed, check_fit, fit_of, fits, is_counter
from recipe.compiler.identity import tensors_of
from recipe.compiler.naming import naming_of
from recipe.compiler.weights_file import Weights
from recipe.graph.apply import EditError, fill, make, parameters
from recipe.graph.edits import Edit, Initialise, made_prefixes
from recipe.graph.net import Net
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.field_contracts import LEAST, WEIGHTS, ModelFields


def stock_model(plan: Plan, classes: int | None) -> nn.Module:
    """Build the stock model for ``classes`` classes, with freshly drawn weights. Raises `RecipeError` (E102)."""
    try:
        return call_hook(plan.base, "build", classes)  # type: ignore[no-any-return]
    except RecipeError:
        raise
    except Exception as error:  # a model's own code may raise anything
        message = f"`{plan.model}` of `{plan.base.word}` can't be built: {error}"
        raise fail("E102", message, plan.base.span) from error


def fit_weights(
    plan: Plan,
    model: fx.GraphModule,
    name: str,
    stock: Tensors,
    edits: Sequence[Edit],
    other_classes: bool,
    may_load: bool = False,
) -> Fit | None:
    """Match the weights that `base … weights=` names with the rewritten model.

    Of weights for ``other_classes`` than those of the images, no head is loaded, so that no output changes its meaning.
    Weights that are unknown until they are downloaded are loaded here if ``may_load``. Returns None if the recipe names
    none. Raises `RecipeError` (E102) if they set too little of the model.
    """
    base, state, place = plan.base, model.state_dict(), plan.base.place(WEIGHTS)
    hooks = [hook for hook in ("meta_weights", "load_weights") if base.trick.overrides(hook)]
    if len(hooks) == 1:
        raise broken(base, hooks[0], "a model with pretrained weights needs both `meta_weights` and `load_weights`")
    given = call_hook(base, "meta_weights", at=place)
    fields = ModelFields.of(base.trick)
    source = str(fields.weights) if fields.weights is not None else None
    if source is None and not given:
        return None
    shown = source or f"the weights of {base.word}"
    if os.path.isabs(shown):
        shown = shown_path(shown)
    unknown = given.unknown if isinstance(given, Weights) else ""
    if unknown and not may_load:
        every = parameters(model)
        fresh = {name: "the weights are unknown" for name, tensor in state.items() if not is_counter(tensor)}
        return Fit(shown, 0, (), (0, len(every)), fresh, {}, {}, unknown=unknown)
    if unknown:
        given = call_hook(base, "load_weights", at=place)
    notes = given.notes if isinstance(given, Weights) else ()
    net = Net(model)
    naming = naming_of(given, {**stock, **state}, net.stem_weight, shown, place)
    fit = fit_of(shown, given, state, stock, edits, parameters(model), net.heads, other_classes, naming, notes)
    apart = (*made_prefixes(edits), *(f"{address}." for address in net.heads))
    body = {name: state[name] for name in parameters(model) if not name.startswith(apart)}
    field = LEAST if any(field.name == LEAST for field in base.declared.fields) else ""
    check_fit(fit, given, body, name, place, fields.least, field)
    return fit


def _seeded(seed: int, name: str) -> int:
    """Derive a seed from a name, so that a parameter's values do not depend on which other parameters exist."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


def materialise(
    plan: Plan,
    classes: int,
    structure: fx.GraphModule,
    edits: Sequence[Edit],
    module: nn.Module | None,
    fit: Fit | None,
) -> fx.GraphModule:
    """Build the rewritten model on the CPU with its initial weights. A pure function of the plan and its seed.

    ``structure`` is its graph on the meta device, ``edits`` produced it, and ``module`` is the user's own model.
    ``fit`` lists the tensors to load from the weights that the recipe's `weights=` names.
    """
    seed, loaded = plan.training.seed, dict[str, Tensor]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if module is not None:
            have = {name: t.detach().to("cpu").clone() for name, t in tensors_of(module).items()}
        else:
            with torch.device("cpu"):
                have = tensors_of(stock_model(plan, classes))
        for edit in edits:
            for address, layer in getattr(edit, "chain", ()):
                torch.manual_seed(_seeded(seed, address) % 2**63)
                try:
                    made = make(layer)
                except EditError as error:  # it works on the meta device, or compiling would have reported it
                    raise fail("E105", f"a layer of the rewritten model can't be created: {error}") from error
                have |= {f"{address}.{name}": tensor for name, tensor in tensors_of(made).items()}
        if fit is not None:
            loaded = _load(plan, fit, structure, have)
    model = copy.deepcopy(structure)
    for name, tensor in tensors_of(model).items():
        value = loaded.get(name, have[name])
        owner, _, leaf = name.rpartition(".")
        holder = model.get_submodule(owner)
        if leaf in holder._parameters:
            parameter = nn.Parameter(value.detach().clone().contiguous(), requires_grad=tensor.requires_grad)
            holder._parameters[leaf] = parameter
        else:
            holder._buffers[leaf] = value.detach().clone()
    with torch.no_grad():
        for edit in edits:
            if isinstance(edit, Initialise):
                _fill(model.get_parameter(edit.parameter), edit, seed)
    return model


def _load(plan: Plan, fit: Fit, structure: fx.GraphModule, fresh: Tensors) -> dict[str, Tensor]:
    """Load the tensors that fit a model, in its types. Raises `RecipeError` (E001) if they are not as expected.

    Only a buffer that is infinite in the ``fresh`` model too may be infinite, such as the mask of an attention.
    """
    place, wanted = plan.base.place(WEIGHTS), structure.state_dict()
    if fit.unknown:
        raise fail("E001", f"`{fit.source}` {fit.unknown}", place, help="compile the recipe for a device")
    given, _ = fit.naming.applied(call_hook(plan.base, "load_weights", at=place))
    loaded = {}
    for name in fit.loaded:
        if name not in given and is_counter(wanted[name]):
            continue
        if name not in given or not fits(given[name], wanted[name]):
            raise changed(fit.source, name, place)
        value = loaded[name] = given[name].to(wanted[name].dtype)
        if value.isnan().any() or (value.isinf().any() and not fresh[name].isinf().any()):
            message = f"`{name}` in `{fit.source}` has values that are not finite"
            raise fail("E001", message, place, help="name weights of a training that did not diverge")
    return loaded


def _fill(parameter: Tensor, edit: Initialise, seed: int) -> None:
    fill(parameter, edit, torch.Generator().manual_seed(_seeded(seed, edit.parameter) % 2**63))
