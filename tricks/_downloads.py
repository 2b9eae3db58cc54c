"""The files that torchvision, timm and the Hugging Face Hub keep of pretrained weights in their caches."""

from __future__ import annotations

import os
import urllib.request

import attrs

from recipe.tricks._hub import SECONDS, failed


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
