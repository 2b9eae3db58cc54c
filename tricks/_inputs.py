"""The inputs that pretrained weights expect: as their packages, their files or a table state them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from recipe.api import INTERPOLATIONS, Preprocessing, to_channels
from recipe.tricks._hub import HUB, repository_config
from recipe.tricks._models import OTHER_INPUTS
from recipe.tricks._published import published
from recipe.tricks._torchvision_table import TABLE

HALF = 0.5
"""The mean and deviation of each channel with which Inception-V3 and GoogLeNet were trained."""

OF_FILES = ("data folder", "data hf", "data list")
"""The datasets of image files of any size. Some of those of torchvision are others."""

SQUASHED, BORDERED = "of the squashed image", "of the image in a border"
"""The crops of timm that a recipe can't state."""


def expected_by(model: str, weights: Any) -> Preprocessing:
    """Return the inputs that torchvision's weights of a model expect.

    For Inception-V3 and GoogLeNet, torchvision's own transforms normalize with ImageNet's mean and deviation, and its
    pretrained models then normalize again. We build these models without the second step, and state both as one.
    """
    preset = weights.transforms()
    return Preprocessing(
        mean=(HALF,) * 3 if model in OTHER_INPUTS else tuple(preset.mean),
        std=(HALF,) * 3 if model in OTHER_INPUTS else tuple(preset.std),
        size=preset.crop_size[0],
        crop=preset.crop_size[0] / preset.resize_size[0],
        interpolation=preset.interpolation.value,
    )


def expected_by_timm(config: Mapping[str, Any]) -> Preprocessing:
    """Return the inputs that timm's configuration of a model states.

    A crop that a recipe can't state is a text: timm can also squash an image and then crop it, fit all of it in a
    border, or crop more than there is. The size is None unless it is square.
    """
    channels, *sides = config.get("input_size") or (None,)
    return Preprocessing(
        mean=_of_channels(config.get("mean"), channels),
        std=_of_channels(config.get("std"), channels),
        size=sides[0] if len({*sides}) == 1 else None,
        crop=_crop(config.get("crop_pct") or 0.875, config.get("crop_mode")),
        interpolation=config.get("interpolation"),
    )


def _of_channels(values: Sequence[float] | None, channels: int | None) -> tuple[float, ...] | None:
    """Return a number of each channel, or None for images that are neither gray nor RGB."""
    if values is None or channels not in (1, 3, None) or len(values) not in (1, 3):
        return None
    return to_channels([*map(float, values)], channels or len(values))


def _crop(part: float, mode: str | None) -> float | str:
    if mode == "squash":
        return "whole" if part == 1 else f"{part} {SQUASHED}"
    return f"{part} {BORDERED}" if mode == "border" or part > 1 else part


def known_inputs(model: str, weights: str | None, downloaded: bool = False) -> Preprocessing | None:
    """Return the inputs that pretrained weights expect, or None if they are unknown. Needs no torch.

    These are the inputs that a run or an export recorded, or else the published ones of the named weights or of the
    model. Once a repository is ``downloaded``, its own configuration comes first. Otherwise it is not looked at, so
    that a recipe means the same before and after the download.
    """
    if weights is None:
        return None
    known = None
    if os.path.isabs(weights):
        from recipe.api import recorded_inputs

        known = recorded_inputs(weights)
    elif not weights.startswith(HUB):
        return published(model, weights)
    elif downloaded:
        known = _of_repository(weights)
    if known is not None:
        return known
    usual = published(model, None)
    return usual and attrs.evolve(usual, assumed=True)


def _of_repository(weights: str) -> Preprocessing | None:
    """Return the inputs that timm's configuration in a repository states, or None for one of another library."""
    path = repository_config(weights)
    try:
        config = json.loads(Path(path).read_bytes()) if path else {}
        config = config.get("pretrained_cfg") or config
        return expected_by_timm(config) if config.get("mean") else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def suggested(inputs: Preprocessing, given: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the suggestions of values for these inputs. Of the datasets, only those of files crop for evaluation.

    For a crop that a recipe can't state, the closest one is suggested, and for an interpolation, none. A run reports
    that the weights expect another one. Weights for gray images suggest a model for them.
    """
    training, evaluation = (
        name if name in INTERPOLATIONS else None
        for name in (inputs.interpolation, inputs.evaluation_interpolation or inputs.interpolation)
    )
    values = {
        "data size": inputs.size,
        "input mean": inputs.mean,
        "input std": inputs.std,
        "input interpolation": training,
        "input channels": 1 if inputs.mean is not None and len(inputs.mean) == 1 else None,
        "evaluation interpolation": evaluation,
        "evaluation size": inputs.evaluation_size,
        "evaluation crop": inputs.closest_crop if _has_files(given) else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _has_files(given: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the images of a recipe are files of any size, by what it states about its dataset."""
    entry = TABLE.get(given.get("data torchvision", {}).get("dataset", ""))
    return any(word in given for word in OF_FILES) or (entry is not None and entry.side is None)
