"""The initial weights of a compiled program: the stock model's, loaded ones, and those that edits fill."""

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
    """The stock model with so many outputs, its weights freshly drawn. Raises `RecipeError` (E102)."""
    try:
        return call_hook(plan.base, "build", classes)  # type: ignore[no-any-return]
    except RecipeError:
        raise
    except Exception as error:  # a model's own code raises anything
        message = f"`{plan.model}` of `{plan.base.word}` can't be built: {error}"
        raise fail("E102", message, plan.base.span) from error


def given_names(plan: Plan, stock: Shapes) -> frozenset[str]:
    """The names of the stock model's parameters that `base … weights=` provides in the same shape; no download.

    Weights of which none fits are an error (E102).
    """
    place = plan.base.place(WEIGHTS)
    shapes = call_hook(plan.base, "weight_shapes", at=place)
    given = frozenset(name for name, shape in shapes.items() if stock.get(name) == shape)
    if shapes and not given:
        example = f"`{next(iter(shapes))}` there, `{next(iter(stock))}` here"
        message = f"none of the weights fits the model: their names or shapes are others ({example})"
        raise fail("E102", message, place)
    return given


def _seeded(seed: int, name: str) -> int:
    """A seed for one name, so that what one parameter gets does not depend on which others there are."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))


def settings_of(module: nn.Module) -> dict[str, object]:
    """What tells a module from another of its class, but for tensors: strides, rates of dropout, and the like."""
    return {name: value for name, value in sorted(vars(module).items()) if name[0] != "_" and _plain(value)}


def _plain(value: object) -> bool:
    """Whether a value reads the same in every process."""
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return isinstance(value, (bool, int, float, str, type(None)))


def own_digest(plan: str, structure: fx.GraphModule, module: nn.Module) -> str:
    """What tells a user's own model, and the weights it came with, from another layer under an equal plan."""
    digest = hashlib.sha256(f"{plan}\n{structure.code}".encode())
    for name, layer in structure.named_modules():  # what the code does not say: strides, rates of dropout
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
    """The rewritten model on the CPU with its initial weights; a pure function of the plan and its seed.

    ``structure`` is its graph on the meta device, ``edits`` are what made it, ``module`` is the user's own model.

    ``pretrained=False`` leaves out those that the recipe's `weights=` names, for a model that gets others.
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
    """The shapes in a safetensors file, from its header alone."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise fail("E001", f"there is no file `{path}`") from None
    except (OSError, SafetensorError):  # whose message may quote the file, which a stranger's recipe may have named
        raise fail("E001", f"`{Path(path).name}` is no safetensors file") from None
