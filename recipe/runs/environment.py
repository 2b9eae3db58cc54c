"""The contents of a run's `environment.json`."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Any

import torch

from recipe.base.identity import version_of
from recipe.devices.choice import cores
from recipe.devices.precision import Precision


def environment(device: torch.device, chosen: Precision, plugins: Iterable[str] = ()) -> dict[str, Any]:
    """Return the contents of `environment.json`: versions, including those of plugins in use, and the device."""
    packages = ["recipe-compiler", "torch", "torchvision", "numpy", "attrs", "lark", "timm", *plugins]
    described = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else (platform.processor() or platform.machine())
    )
    return {
        "schema_version": 1,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in packages if (version := version_of(name))},
        "device": str(device),
        "device_name": described,
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "precision": chosen.name,
    }
