"""The files that torchvision, timm and the Hugging Face Hub keep of pretrained weights in their caches."""

from __future__ import annotations

import os
import urllib.request

import attrs

from recipe.tricks._hub import FILES, HUB, SECONDS, HubFile, failed, in_repository
from recipe.tricks._models import named_weights, timm_config, timm_name


@attrs.frozen
class UrlFile:
    """A file that is downloaded from a URL into torch's cache."""

    weights: str
    """The weights, for messages."""
    url: str

    @property
    def place(self) -> str:
        """The path of the file in the cache."""
        import torch

        return os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(self.url))

    def cached(self) -> str | None:
        """Return the path of the file in the cache, or None if it is not there."""
        return self.place if os.path.isfile(self.place) else None

    def find(self) -> str:
        """Return the URL once the server says that it has the file. Raises `RecipeError` (E001) if it doesn't."""
        try:
            urllib.request.urlopen(urllib.request.Request(self.url, method="HEAD"), timeout=SECONDS).close()
        except (OSError, ValueError) as error:
            raise self.failed(error) from error
        return self.url

    def failed(self, error: Exception) -> Exception:
        """Return the error (E001) for a file that can't be downloaded."""
        help = f'download it elsewhere, and put it at `{self.place}`, or name the file: `weights="PATH"`'
        return failed(self.weights, self.url, error, help)


def file_of(model: str, weights: str) -> UrlFile | HubFile:
    """Return the file of named weights or of a repository. Raises `RecipeError` (E023) if there is none."""
    if weights.startswith(HUB):
        return in_repository(weights)
    shown = f"the weights `{weights}` of `{model}`"
    if not model.startswith("timm:"):
        return UrlFile(shown, named_weights(model, weights).url)
    config = timm_config(timm_name(model, weights))
    if named := config.get("hf_hub_id"):
        repository, _, revision = named.partition("@")
        own = config.get("hf_hub_filename")
        return HubFile(shown, repository, revision or None, (own,) if own else FILES)
    return UrlFile(shown, config["url"])
