"""Pretrained weights: of a file or a run, named ones of torchvision or timm, or of a Hugging Face repository."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from recipe.api import fail
from recipe.tricks._downloads import UrlFile, file_of
from recipe.tricks._hub import HUB, HubFile
from recipe.tricks._models import named_weights, timm_model, timm_name

if TYPE_CHECKING:
    import torch


def is_named(weights: str | None) -> bool:
    """Whether weights are named by torchvision or timm, and not a file, a folder or a repository."""
    return weights is not None and not os.path.isabs(weights) and not weights.startswith(HUB)


def unusable(path: str) -> str:
    """Return why a path can't be that of weights, as a clause, or an empty string. Doesn't open it."""
    if not os.path.lexists(path):
        return "do not exist on this machine"
    if os.path.isdir(path):
        return "" if os.path.isfile(os.path.join(path, "recipe.lock")) else "are a folder without a run"
    return "" if os.path.isfile(path) else "are not a file"


def meta_of(model: str, weights: str, build: Callable[[], torch.nn.Module]) -> Mapping[str, torch.Tensor]:
    """Return every tensor of the weights on the meta device, without downloading them.

    ``build`` makes the stock model as the weights of torchvision have it.
    """
    from recipe.api import Weights, on_meta, read_weights

    if os.path.isabs(weights):
        _check_path(weights)
        return read_weights(weights, meta=True)
    if weights.startswith(HUB):
        if path := file_of(model, weights).cached():
            return read_weights(path, meta=True)
        return Weights({}, unknown="is not downloaded yet, so its tensors are unknown")
    if model.startswith("timm:"):
        name = timm_name(model, weights)
        return on_meta(lambda: timm_model(name, {})).state_dict()
    named_weights(model, weights)
    return on_meta(build).state_dict()


def _check_path(path: str) -> None:
    """Raise `RecipeError` (E001) for a path of weights that doesn't exist, with what to write instead."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        raise fail("E001", f"file not found: `{path}`", help=_instead_of(path)) from None
    except OSError:  # reading the file reports it
        return


def _instead_of(path: str) -> str:
    if "hf-hub:" in path:
        return f'write `weights="{HUB}OWNER/NAME"` for a repository'
    if re.search("https?:/", path):
        return "download the file, and name it: no address is opened"
    return "a relative path begins at the folder of the recipe or, on the command line, at the working directory"


def load(model: str, weights: str) -> Mapping[str, torch.Tensor]:
    """Return the tensors of the weights, downloaded if necessary. Raises `RecipeError` (E001)."""
    from recipe.api import read_weights

    if os.path.isabs(weights):
        return read_weights(weights)
    file = file_of(model, weights)
    if weights.startswith(HUB) and isinstance(file, HubFile):
        return read_weights(file.fetched())
    where = {"file": file.fetched(), "custom_load": False} if isinstance(file, HubFile) else {}
    try:  # the libraries themselves rename the tensors of some models
        if model.startswith("timm:"):
            options = {"pretrained": True, "pretrained_cfg_overlay": where}
            return timm_model(timm_name(model, weights), options).state_dict()
        from torchvision.models import get_model

        return get_model(model, weights=named_weights(model, weights), progress=False).state_dict()  # type: ignore[no-any-return]
    except Exception as error:  # each library has its own
        if isinstance(file, UrlFile) and file.cached() is None:
            raise file.failed(error) from error
        raise fail("E001", f"{file.weights} can't be read from `{file.cached()}`: {error}") from error


def download(model: str, weights: str) -> str | None:
    """Return the URL from which weights have to be downloaded, or None. Raises `RecipeError` if it can't be reached."""
    file = None if os.path.isabs(weights) else file_of(model, weights)
    return None if file is None or file.cached() else file.find()
