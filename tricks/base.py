"""base MODEL [weights=NAME|FILE] [classes=N]: the stock model that all other tricks modify.

Supports every torchvision classifier and, with the extra ``timm``, every timm model as ``timm:NAME``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Layer, Preprocessing, SuggestContext, Trick, architecture, integer, path, trick
from recipe.tricks._models import (
    HALF,
    MODELS,
    OTHER_INPUTS,
    expected_by,
    expected_by_timm,
    load_named,
    named_weights,
    timm_model,
    url_of,
)

if TYPE_CHECKING:
    import torch

    from recipe.api import PlanView


@trick("base", position=10, writes=("base",))
class Base(Trick):
    """Start from a stock model.

    Its weights are randomly initialized (see ``init``) unless ``weights`` names pretrained ones. That is a torchvision
    name, such as ``IMAGENET1K_V2`` or ``DEFAULT``, downloaded when the model is built, or a safetensors file in quotes,
    such as the ``model.safetensors`` of a run. Tensors with the same name and shape in the rewritten model are loaded.
    The others, such as the last layer for a different number of classes, are still randomly initialized. So is a last
    layer for classes with other names, which the folder of a run or the header of an export states. The run lists both.
    It is an error if less than 90 % of the model, not counting the last layer, is loaded. ``module`` stands for a model
    that is passed to ``recipe.compile(…, base=model)``.
    """

    model: str = architecture("a torchvision classifier, or `timm:NAME`", of=(*MODELS, "module"), prefixes=("timm:",))
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
            return timm_model(self.model.removeprefix("timm:"), self._options(classes))
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

        named_weights(self.model, self.weights)
        return on_meta(lambda: self.build(None)).state_dict()

    def download(self) -> str | None:
        """Return the URL of torchvision's weights, unless they have been downloaded before."""
        if self.weights is None or self._is_file():
            return None
        return url_of(named_weights(self.model, self.weights))

    def load_weights(self) -> Mapping[str, torch.Tensor]:
        """Return the pretrained tensors."""
        if self.weights is None:
            return {}
        if self._is_file():
            from recipe.api import load_safetensors

            return load_safetensors(self.weights)
        return load_named(self.model, self.weights)

    def preprocessing(self) -> Preprocessing | None:
        """Return torchvision's preprocessing of named weights, or that of the model's published ones for a file.

        For the file of a run in its folder or of an export, it is that of the run.
        """
        if self.weights is None:
            return None
        if not self._is_file():
            return expected_by(named_weights(self.model, self.weights))
        from recipe.api import on_meta, safetensors_about, trained_on

        header = safetensors_about(self.weights)
        if "digest" in header:
            return known.inputs if (known := trained_on(self.weights, header)) else None
        if self.model.startswith("timm:"):
            return expected_by_timm(getattr(on_meta(lambda: self.build(None)), "pretrained_cfg", {}))
        return Preprocessing(mean=HALF, std=HALF) if self.model in OTHER_INPUTS else None

    def _is_file(self) -> bool:
        return self.weights is not None and os.path.isabs(self.weights)
