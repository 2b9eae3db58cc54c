"""The names of the classes that published weights tell apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from recipe.tricks._hub import HUB
from recipe.tricks._models import named_weights, timm_config, timm_name

OWNER = f"{HUB}timm/"
"""How the names of timm's own repositories begin, which are those of its weights."""


def published_classes(model: str, weights: str | None, is_file: bool) -> Sequence[Sequence[str]]:
    """Return the names of each output of published weights, or nothing if they are unknown.

    The weights of a file are taken for those that are published for the model.
    """
    if weights is None or model == "module":
        return ()
    if model.startswith("timm:"):
        return _of_timm(_timm_config(model, weights, is_file))
    if weights.startswith(HUB):
        return ()
    return _of_torchvision(tuple(named_weights(model, "DEFAULT" if is_file else weights).meta.get("categories", ())))


def _timm_config(model: str, weights: str, is_file: bool) -> Any:
    if is_file:
        from timm.models import get_pretrained_cfg

        config: Any = get_pretrained_cfg(model.removeprefix("timm:"))
        return config.to_dict() if config else {}
    if weights.startswith(HUB):
        is_own = weights.startswith(OWNER)
        return timm_config(weights.removeprefix(OWNER).partition("@")[0]) if is_own else {}
    return timm_config(timm_name(model, weights))


@cache
def _of_torchvision(categories: tuple[str, ...]) -> Sequence[Sequence[str]]:
    wnids = _wnids()
    return [*zip(categories, wnids, strict=True)] if len(categories) == len(wnids) else [(name,) for name in categories]


def _wnids() -> list[str]:
    """Return the WordNet identifiers of ImageNet's 1,000 classes, in the order of the outputs."""
    lines = (resources.files("recipe.tricks") / "_imagenet.txt").read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _of_timm(config: Any) -> Sequence[Sequence[str]]:
    from timm.data.imagenet_info import infer_imagenet_subset

    subset = infer_imagenet_subset(config) if config.get("num_classes") else None
    return _of_imagenet(subset) if subset else ()


@cache
def _of_imagenet(subset: str) -> Sequence[Sequence[str]]:
    """Return the names of the classes of a subset of ImageNet: the one to show, the WordNet identifier and synonyms."""
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo(subset)
    wnids, lemmas = info.label_names(), info.label_descriptions()
    if len(wnids) == len(_wnids()):
        from torchvision.models import ResNet50_Weights

        shown = ResNet50_Weights.DEFAULT.meta["categories"]
    else:
        times = Counter(lemmas)
        shown = [name if times[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(lemmas, wnids, strict=True)]
    return [
        tuple(dict.fromkeys((name, wnid, lemma, *lemma.split(", "))))
        for name, wnid, lemma in zip(shown, wnids, lemmas, strict=True)
    ]
