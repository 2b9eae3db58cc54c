"""The inputs that pretrained weights expect: as their packages, their files or a table state them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from recipe.api import Preprocessing
from recipe.tricks._models import OTHER_INPUTS

if TYPE_CHECKING:
    import torch

HALF = (0.5, 0.5, 0.5)


def expected_by(weights: Any) -> Preprocessing:
    """Return the inputs that torchvision's weights expect."""
    preset = weights.transforms()
    return Preprocessing(
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        size=preset.crop_size[0],
        crop=preset.crop_size[0] / preset.resize_size[0],
        interpolation=preset.interpolation.value,
    )


def expected_by_timm(config: Mapping[str, Any]) -> Preprocessing:
    """Return the inputs that timm's configuration of a model states.

    For a crop that a recipe can't state, it is the closest one: timm can also squash an image and then crop it, or add
    a border. For a size that is not square, it is none.
    """
    _, *sides = config.get("input_size") or (None,)
    crop = min(config.get("crop_pct") or 0.875, 1.0)
    return Preprocessing(
        mean=config.get("mean"),
        std=config.get("std"),
        size=sides[0] if len({*sides}) == 1 else None,
        crop="whole" if (crop, config.get("crop_mode")) == (1.0, "squash") else crop,
        interpolation=config.get("interpolation"),
    )


@cache
def _published() -> Mapping[str, Preprocessing]:
    """Return the inputs of published weights, by model, or by model and weights where these differ."""
    lines = (resources.files("recipe.tricks") / "_pretrained.txt").read_text("utf-8").splitlines()
    found, inputs = dict[str, Preprocessing](), Preprocessing()
    for line in (line for line in lines if line and not line.startswith("#")):
        if line.startswith(" "):
            found |= dict.fromkeys(line.split(), inputs)
            continue
        mean, std, *rest = (part.split() for part in line.split(" | "))
        size, crop, interpolation = (value for (value,) in rest)
        inputs = Preprocessing(
            mean=tuple(map(float, mean)),
            std=tuple(map(float, std)),
            size=None if size == "-" else int(size),
            crop=crop if crop == "whole" else float(crop),
            interpolation=interpolation,
        )
    return found


def published(model: str, name: str | None) -> Preprocessing | None:
    """Return the inputs of the weights of a model with this name, or of its default ones, or None if unknown.

    Needs neither torch nor timm: the table is written from them by `python -m tests.tricks.pretrained`.
    """
    known = _published()
    stem, _, tag = model.partition(".") if model.startswith("timm:") else (model, "", "")
    name = tag if name in (None, "DEFAULT") else name
    return known.get(f"{stem}.{name}") or known.get(stem)


def known_inputs(model: str, weights: str | None, is_file: bool) -> Preprocessing | None:
    """Return the inputs that pretrained weights expect, as far as that is known without importing torch."""
    if weights is None:
        return None
    if not is_file:  # a repository's own configuration is unknown before it is downloaded
        return published(model, None if weights.startswith("hf_hub:") else weights)
    from recipe.api import recorded_inputs

    if (known := recorded_inputs(weights)) is not None:
        return known
    if model.startswith("timm:"):
        return published(model, None)
    return Preprocessing(mean=HALF, std=HALF) if model in OTHER_INPUTS else None


def suggested(inputs: Preprocessing, words: Collection[str]) -> Mapping[str, Any]:
    """Return the suggestions of values for these inputs. Of the datasets, only `data folder` crops for evaluation."""
    values = {
        "data size": inputs.size,
        "input mean": inputs.mean,
        "input std": inputs.std,
        "input interpolation": inputs.interpolation,
        "evaluation interpolation": inputs.interpolation,
        "evaluation crop": inputs.crop if "data folder" in words else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def expected_by_file(model: str, path: str, build: Callable[[], torch.nn.Module]) -> Preprocessing | None:
    """Return the inputs of a run for its folder, file or export, or else those of the model's published weights.

    ``path`` may also name a repository, whose files are not read here. ``build`` builds the model.
    """
    from recipe.api import on_meta, trained_on, weights_about

    header = weights_about(path) if os.path.isabs(path) else {}
    if "digest" in header:
        return known.inputs if (known := trained_on(path, header)) else None
    if model.startswith("timm:"):
        return expected_by_timm(getattr(on_meta(build), "pretrained_cfg", {}))
    return Preprocessing(mean=HALF, std=HALF) if model in OTHER_INPUTS else None
