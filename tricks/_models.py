"""The models of torchvision and timm, and their pretrained weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import fail, how_to_install

if TYPE_CHECKING:
    import torch

# The output of torchvision.models.list_models(module=torchvision.models), to check recipes without importing torch.
MODELS = tuple(
    """
    alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169 densenet201
    efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6
    efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5
    mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf regnet_x_1_6gf
    regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf regnet_y_128gf regnet_y_16gf regnet_y_1_6gf
    regnet_y_32gf regnet_y_3_2gf regnet_y_400mf regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34
    resnet50 resnext101_32x8d resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
    shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t vgg11 vgg11_bn
    vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2
    wide_resnet50_2
    """.split()
)

OTHER_INPUTS = ("inception_v3", "googlenet")
"""The models whose weights torchvision takes from TensorFlow. They expect images of mean and deviation 0.5."""


def timm_model(name: str, options: Mapping[str, Any]) -> torch.nn.Module:
    """Build a timm model. Raises `ValueError` if timm is not installed or has no such model, and `RecipeError` (E023)
    if it has no such tag."""
    timm = _timm()
    architecture, _, tag = name.partition(".")
    if architecture not in timm.list_models():
        raise ValueError(f"timm has no model `{architecture}`")
    if tag and name not in timm.models.get_arch_pretrained_cfgs(architecture):
        raise _unknown_tag(architecture, tag)
    model: torch.nn.Module = timm.create_model(name, **options)
    return model


def timm_name(model: str, weights: str) -> str:
    """Return the name of a timm model with the tag of its weights: ``resnet18.a1_in1k``.

    Args:
        model: The model as recipes name it, such as ``timm:resnet18`` or ``timm:resnet18.a1_in1k``.
        weights: A tag, or ``DEFAULT`` for the tag in the name or, without one, for timm's default.

    Raises:
        RecipeError: If the model has no such weights, or its name has another tag (E023).
    """
    name = model.removeprefix("timm:")
    architecture, _, tag = name.partition(".")
    if tag and weights not in ("DEFAULT", tag):
        message = f"`{model}` and `weights={weights}` name different weights"
        raise fail("E023", message, help=f"write `base timm:{architecture} weights={weights}`")
    wanted = tag if weights == "DEFAULT" else weights
    known = _timm().models.get_arch_pretrained_cfgs(architecture)
    full = f"{architecture}.{wanted}" if wanted else architecture
    if known and (full not in known if wanted else not timm_config(full)):
        raise _unknown_tag(architecture, wanted or "DEFAULT")
    if not timm_config(full):
        raise fail("E023", f"timm has no pretrained weights `{full}`", help="name a file in quotes")
    return full


def timm_config(name: str) -> Mapping[str, Any]:
    """Return timm's configuration of the weights of a model, or an empty mapping if it has none."""
    config = _timm().get_pretrained_cfg(name)
    return config.to_dict() if config is not None and config.has_weights else {}


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise ValueError(f"timm is not installed; {how_to_install('recipe-compiler[timm]')}") from None
    return timm


def _unknown_tag(architecture: str, tag: str) -> Exception:
    known = [name.partition(".")[2] for name in _timm().models.get_arch_pretrained_cfgs(architecture)]
    return _no_weights(f"timm:{architecture}", tag, filter(None, known))


def _no_weights(model: str, name: str, known: Iterable[str]) -> Exception:
    """Return the error (E023) for a model that has no weights of this name."""
    help = f'write `weights="{name}"` for a file' if "." in name else "name a file in quotes"
    if names := [f"`{each}`" for each in sorted({*known})]:
        default = ["`DEFAULT`"] if name != "DEFAULT" else []
        help = f"use one of {', '.join([*default, *names])}, or {help}"
    return fail("E023", f"`{model}` has no weights `{name}`", help=help)


def named_weights(model: str, name: str) -> Any:
    """Return torchvision's entry for the weights of a model. Raises `RecipeError` (E023) if there is none."""
    from torchvision.models import get_model_weights

    if model == "module":
        help = "name a file in quotes"
        raise fail("E023", f"`weights={name}` only works with models of torchvision and timm", help=help)
    known = get_model_weights(model)
    if name != "DEFAULT" and name not in known.__members__:
        raise _no_weights(model, name, {*known.__members__} - {"DEFAULT"})
    return known[name] if name in known.__members__ else known.DEFAULT
