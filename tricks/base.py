"""base MODEL [weights=NAME|PATH] [classes=N] [least=P]: the stock model that all other tricks modify.

Supports every torchvision classifier and, with the extra ``timm``, every timm model as ``timm:NAME``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recipe.api import Layer, Preprocessing, SuggestContext, Trick, architecture, fail, integer, number, path, trick
from recipe.tricks._classes import published_classes
from recipe.tricks._inputs import HALF, expected_by, expected_by_timm, known_inputs, suggested
from recipe.tricks._models import MODELS, OTHER_INPUTS, named_weights, timm_config, timm_model, timm_name
from recipe.tricks._weights import download, is_named, load, meta_of, unusable

if TYPE_CHECKING:
    import torch

    from recipe.api import PlanView


@trick(
    "base",
    position=10,
    writes=("base",),
    known_as={
        "model": "",
        "arch": "",
        "architecture": "",
        "network": "",
        "pretrained": "weights=DEFAULT",
        "num-classes": "classes=",
    },
)
class Base(Trick):
    """Start from a stock model.

    Its weights are randomly initialized (see ``init``) unless ``weights`` names pretrained ones: a torchvision name
    such as ``IMAGENET1K_V2``, a tag of timm, ``DEFAULT`` for the default of either, or in quotes a file, the folder of
    a run, or ``hf_hub:OWNER/NAME``. A file is safetensors, or what ``torch.save`` writes, such as the checkpoint of a
    trainer. Tensors with the same name and shape in the rewritten model are loaded. The others, such as the last layer
    for a different number of classes, are still randomly initialized, and so is a last layer for classes with other
    names, if these are known. The run lists both. It is an error if less than 90 % of the model, not counting the last
    layer, is loaded; ``least`` sets another limit. Weights suggest the inputs that they expect: the size of images,
    `input` and `evaluation`. ``module`` stands for a model that is passed to
    ``recipe.compile(…, base=model)``.
    """

    model: str = architecture("a torchvision classifier, or `timm:NAME`", of=(*MODELS, "module"), prefixes=("timm:",))
    weights: str | None = path(
        None,
        "pretrained weights: a name or tag, or a file, a run folder or `hf_hub:OWNER/NAME` in quotes",
        name=True,
        prefixes=("hf_hub:",),
    )
    classes: int | None = integer(
        None, "number of outputs; if omitted, the number of classes in the dataset", minimum=2, maximum=100_000
    )
    least: float | None = number(
        None,
        "part of the model that the weights must set, without its last layer; 90 % if omitted",
        minimum=0,
        maximum=1,
        result=False,
    )

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.least is not None and self.weights is None:
            yield "`least` has no effect without `weights`"
        if self.model in OTHER_INPUTS and is_named(self.weights) and {*(plan.training.mean or ())} != {HALF}:
            # A lock of an earlier release states other inputs, which the model normalized again.
            message = f"the weights `{self.weights}` of `{self.model}` need images of mean and deviation 0.5"
            raise fail("E023", message, help=f"state `input mean={HALF} std={HALF}`")
        if self._is_file() and self.weights and (why := unusable(self.weights)):
            yield f"the weights `{self.weights}` {why}"

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        """Suggest the inputs that pretrained weights expect, or 299 px for Inception-V3 (He et al., section 2.1)."""
        sizes = {"data size": self.image_size()} if self.model == "inception_v3" else {}
        inputs = known_inputs(self.model, self.weights)
        return sizes if inputs is None else {**sizes, **suggested(inputs, context.given)}

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
            # Truncated normal initialization takes half a minute, and `init` initializes again anyway.
            options |= {"init_weights": False, "aux_logits": True, "transform_input": False}
        return options

    def image_size(self) -> int:
        """Return the height and width, in pixels, of the images that the model was designed for."""
        return 299 if self.model == "inception_v3" else 224

    def meta_weights(self) -> Mapping[str, torch.Tensor]:
        """Return every pretrained tensor on the meta device, without downloading them."""
        return meta_of(self.model, self.weights, lambda: self.build(None)) if self.weights else {}

    def download(self) -> str | None:
        """Return the URL of weights that are not on this machine. It is an error if it can't be reached."""
        return download(self.model, self.weights) if self.weights else None

    def load_weights(self) -> Mapping[str, torch.Tensor]:
        """Return the pretrained tensors."""
        return load(self.model, self.weights) if self.weights else {}

    def class_names(self) -> Sequence[Sequence[str]]:
        """Return the names of the classes of published weights. Those of a file are taken for the model's."""
        return published_classes(self.model, self.weights, self._is_file())

    def preprocessing(self) -> Preprocessing | None:
        """Return the preprocessing that the libraries state for named weights, or what is known of a file."""
        if self.weights is None or not is_named(self.weights):
            return known_inputs(self.model, self.weights, downloaded=True)
        if self.model.startswith("timm:"):
            return expected_by_timm(timm_config(timm_name(self.model, self.weights)))
        return expected_by(self.model, named_weights(self.model, self.weights))

    def _is_file(self) -> bool:
        return self.weights is not None and os.path.isabs(self.weights)
