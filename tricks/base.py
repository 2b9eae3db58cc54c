"""base MODEL [weights=NAME|FILE] [classes=N]: the stock model that all other tricks modify.

Supports every torchvision classifier and, with the extra ``timm``, every timm model as ``timm:NAME``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Layer, Preprocessing, SuggestContext, Trick, architecture, fail, integer, path, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import PlanView

# The output of torchvision.models.list_models(module=torchvision.models), to check recipes without importing torch.
TORCHVISION = tuple(
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

HALF = (0.5, 0.5, 0.5)


@trick("base", position=10, writes=("base",))
class Base(Trick):
    """Start from a stock model.

    Its weights are randomly initialized (see ``init``) unless ``weights`` names pretrained ones. That is a torchvision
    name, such as ``IMAGENET1K_V2`` or ``DEFAULT``, downloaded when the model is built, or a safetensors file in quotes,
    such as the ``model.safetensors`` of a run. Tensors with the same name and shape in the rewritten model are loaded.
    The others, such as the last layer for a different number of classes, are still randomly initialized. The run lists
    both. It is an error if less than 90 % of the model, not counting the last layer, is loaded. ``module`` stands for a
    model that is passed to ``recipe.compile(…, base=model)``.
    """

    model: str = architecture(
        "a torchvision classifier, or `timm:NAME`", of=(*TORCHVISION, "module"), prefixes=("timm:",)
    )
    weights: str | None = path(None, "pretrained weights: a torchvision name, or a safetensors file", name=True)
    classes: int | None = integer(
        None, "number of outputs; if omitted, the number of classes in the dataset", minimum=2, maximum=100_000
    )

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.weights is None or not self._is_file():
            return
        if not os.path.lexists(self.weights):
            yield f"the weights `{self.weights}` do not exist on this machine"
        elif not os.path.isfile(self.weights):
            yield f"the weights `{self.weights}` are not a file"

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        """Suggest 299 px for Inception-V3 (He et al., section 2.1)."""
        return {"data size": self.image_size()} if self.model == "inception_v3" else {}

    def build(self, classes: int | None) -> torch.nn.Module:
        """Build the model with this number of outputs."""
        if self.model == "module":
            raise ValueError("it is reserved for models that are passed to recipe.compile(…, base=model)")
        if self.model.startswith("timm:"):
            return self._timm(classes)
        from torchvision.models import get_model

        model: torch.nn.Module = get_model(self.model, weights=None, **self._options(classes))
        return model

    def constructor(self, classes: int) -> Layer | None:
        """Return the call to torchvision or timm that `build` makes."""
        if self.model.startswith("timm:"):
            name = self.model.removeprefix("timm:")
            return Layer("timm:create_model", {"model_name": name, **self._options(classes)})
        return Layer(f"torchvision.models:{self.model}", self._options(classes))

    def _options(self, classes: int | None) -> dict[str, Any]:
        options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
        if self.model in OTHER_INPUTS:
            pretrained = self.weights is not None and not self._is_file()
            # Truncated normal initialization takes half a minute, and `init` initializes again anyway.
            options |= {"init_weights": False, "aux_logits": True, "transform_input": pretrained}
        return options

    def _timm(self, classes: int | None) -> torch.nn.Module:
        try:
            import timm
        except ImportError:
            raise ValueError("timm is not installed; install it with `pip install 'recipe-compiler[timm]'`") from None
        name = self.model.removeprefix("timm:")
        if name not in timm.list_models():
            raise ValueError(f"timm has no model `{name}`")
        model: torch.nn.Module = timm.create_model(name, **self._options(classes))
        return model

    def image_size(self) -> int:
        """Return the height and width, in pixels, of the images that the model was designed for."""
        return 299 if self.model == "inception_v3" else 224

    def meta_weights(self) -> Mapping[str, torch.Tensor]:
        """Return every pretrained tensor on the meta device, without downloading them."""
        if self.weights is None:
            return {}
        if self._is_file():
            from recipe.api import safetensors_meta

            return safetensors_meta(self.weights)
        from recipe.api import on_meta

        self._torchvision_weights()
        return on_meta(lambda: self.build(None)).state_dict()

    def download(self) -> str | None:
        """Return the URL of torchvision's weights, unless they have been downloaded before."""
        if self.weights is None or self._is_file():
            return None
        import torch

        url: str = self._torchvision_weights().url
        kept = os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(url))
        return None if os.path.isfile(kept) else url

    def load_weights(self) -> Mapping[str, torch.Tensor]:
        """Return the pretrained tensors."""
        if self.weights is None:
            return {}
        if self._is_file():
            from recipe.api import load_safetensors

            return load_safetensors(self.weights)
        from torchvision.models import get_model

        weights = self._torchvision_weights()
        try:  # torchvision itself renames the tensors of some models
            return get_model(self.model, weights=weights, progress=False).state_dict()  # type: ignore[no-any-return]
        except (OSError, RuntimeError) as error:
            message = f"the weights `{self.weights}` of `{self.model}` can't be downloaded: {error}"
            raise fail("E001", message, help="check the network, or name a safetensors file") from error

    def preprocessing(self) -> Preprocessing | None:
        """Return torchvision's preprocessing of named weights, or that of the model's published ones for a file.

        The file of a run has none, since a run normalizes with its dataset's own mean and deviation.
        """
        if self.weights is None:
            return None
        if not self._is_file():
            return _of_torchvision(self._torchvision_weights().transforms())
        from recipe.api import on_meta, safetensors_about

        if "digest" in safetensors_about(self.weights):
            return None
        if self.model.startswith("timm:"):
            return _of_timm(getattr(on_meta(lambda: self.build(None)), "pretrained_cfg", {}))
        return Preprocessing(mean=HALF, std=HALF) if self.model in OTHER_INPUTS else None

    def _is_file(self) -> bool:
        return self.weights is not None and os.path.isabs(self.weights)

    def _torchvision_weights(self) -> Any:
        from torchvision.models import get_model_weights

        if self.model.startswith("timm:") or self.model == "module":
            help = "name a safetensors file in quotes"
            raise fail("E023", f"`weights={self.weights}` only works with torchvision models", help=help)
        known = get_model_weights(self.model)
        if self.weights != "DEFAULT" and self.weights not in known.__members__:
            have = ", ".join(f"`{name}`" for name in sorted({"DEFAULT", *known.__members__}))
            raise fail("E023", f"`{self.model}` has no weights `{self.weights}`", help=f"use one of {have}")
        return known[self.weights] if self.weights in known.__members__ else known.DEFAULT


def _of_torchvision(preset: Any) -> Preprocessing:
    return Preprocessing(
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        size=preset.crop_size[0],
        crop=preset.crop_size[0] / preset.resize_size[0],
        interpolation=preset.interpolation.value,
    )


def _of_timm(config: Mapping[str, Any]) -> Preprocessing:
    return Preprocessing(
        mean=config.get("mean"),
        std=config.get("std"),
        size=(config.get("input_size") or (None,))[-1],
        crop=config.get("crop_pct"),
        interpolation=config.get("interpolation"),
    )
