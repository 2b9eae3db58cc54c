"""The initial weights of a compiled program: those of the stock model, loaded ones, and those that edits set."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import fx, nn

from recipe.base.errors import RecipeError, fail
from recipe.graph.apply import Shapes, make
from recipe.graph.edits import Edit, Initialise, made_prefixes
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.field_contracts import WEIGHTS


def stock_model(plan: Plan, classes: int | None) -> nn.Module:
    """Build the stock model for ``classes`` classes, with freshly drawn weights. Raises `RecipeError` (E102)."""
    try:
        return call_hook(plan.base, "build", classes)  # type: ignore[no-any-return]
    except RecipeError:
        raise
    except Exception as error:  # a model's own code may raise anything
        message = f"`{plan.model}` of `{plan.base.word}` can't be built: {error}"
        raise fail("E102", message, plan.base.span) from error


def given_names(plan: Plan, stock: Shapes) -> frozenset[str]:
    """Return the names of stock parameters that `base … weights=` provides in the same shape. Downloads nothing.

    Raises `RecipeError` (E102) if none of the weights match.
    """
    place = plan.base.place(WEIGHTS)
    shapes = call_hook(plan.base, "weight_shapes", at=place)
    given = frozenset(name for name, shape in shapes.items() if stock.get(name) == shape)
    if shapes and not given:
        example = f"`{next(iter(shapes))}` in the weights, `{next(iter(stock))}` in the model"
        message = f"none of the weights match the model: their names or shapes differ ({example})"
        raise fail("E102", message, place)
    return given


def _seeded(seed: int, name: str) -> int:
    """Derive a seed from a name, so that a parameter's values do not depend on which other parameters exist."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))


def settings_of(module: nn.Module) -> dict[str, object]:
    """Return a module's settings other than tensors, such as strides and dropout rates."""
    return {name: value for name, value in sorted(vars(module).items()) if name[0] != "_" and _plain(value)}


def _plain(value: object) -> bool:
    """Whether a value has the same text in every process."""
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return isinstance(value, (bool, int, float, str, type(None)))


def own_digest(plan: str, structure: fx.GraphModule, module: nn.Module) -> str:
    """Return a digest of a user's own model and its weights, which the plan's digest does not cover."""
    digest = hashlib.sha256(f"{plan}\n{structure.code}".encode())
    for name, layer in structure.named_modules():  # not in the code: strides, dropout rates
        digest.update(f"{name} {type(layer).__name__} {settings_of(layer)}".encode())
    for name, tensor in sorted(_tensors(module).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def materialise(
    plan: Plan,
    classes: int,
    structure: fx.GraphModule,
    edits: Sequence[Edit],
    module: nn.Module | None,
    *,
    pretrained: bool = True,
) -> fx.GraphModule:
    """Build the rewritten model on the CPU with its initial weights. A pure function of the plan and its seed.

    ``structure`` is its graph on the meta device, ``edits`` produced it, and ``module`` is the user's own model.

    ``pretrained=False`` leaves out the weights that the recipe's `weights=` names, for a model that gets others.
    """
    seed, made = plan.training.seed, made_prefixes(edits)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if module is not None:
            have = {name: t.detach().to("cpu").clone() for name, t in _tensors(module).items()}
        else:
            with torch.device("cpu"):
                have = _tensors(stock_model(plan, classes))
        for edit in edits:
            for address, layer in getattr(edit, "chain", ()):
                torch.manual_seed(_seeded(seed, address) % 2**63)
                have |= {f"{address}.{name}": tensor for name, tensor in _tensors(make(layer)).items()}
    model = copy.deepcopy(structure)
    base, loaded = plan.base, dict[str, torch.Tensor]()
    if pretrained and module is None:
        loaded = call_hook(base, "load_weights", at=base.place(WEIGHTS))
    for name, tensor in _tensors(model).items():
        value = have[name]
        if name in loaded and not name.startswith(made) and tuple(loaded[name].shape) == tuple(tensor.shape):
            value = loaded[name].to(value.dtype)
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


def _fill(parameter: torch.Tensor, edit: Initialise, seed: int) -> None:
    fill = getattr(nn.init, f"{edit.scheme}_")
    if edit.scheme in ("zeros", "ones", "constant"):
        fill(parameter, **edit.arguments)
    else:
        generator = torch.Generator().manual_seed(_seeded(seed, edit.parameter) % 2**63)
        fill(parameter, generator=generator, **edit.arguments)


def safetensors_shapes(path: str) -> Shapes:
    """Return the shapes of the tensors in a safetensors file, reading only its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise fail("E001", f"file not found: `{path}`") from None
    except (OSError, SafetensorError):  # the message may quote the file, and an untrusted recipe may name any file
        raise fail("E001", f"`{Path(path).name}` is not a safetensors file") from None
