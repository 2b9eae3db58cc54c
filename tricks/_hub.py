"""Files of repositories of the Hugging Face Hub, which it keeps in its cache."""

from __future__ import annotations

import contextlib
import os
from importlib.util import find_spec
from typing import Any

import attrs

from recipe.api import fail, how_to_install

HUB = "hf_hub:"
"""The prefix of a repository of the Hugging Face Hub."""

FILES = ("model.safetensors", "pytorch_model.bin")
"""The names that the file with the weights may have in a repository, in order of preference."""

CONFIG = "config.json"
"""The name of the file with timm's configuration of a model in a repository."""

SECONDS = 10
"""How long to wait for an answer from the network."""


@attrs.frozen
class HubFile:
    """A file of a repository of the Hugging Face Hub."""

    weights: str
    """The weights, for messages."""
    repository: str
    revision: str | None = None
    names: tuple[str, ...] = FILES
    """The names that the file may have."""

    def cached(self) -> str | None:
        """Return the path of the file in the cache, or None if it is not there."""
        from huggingface_hub import try_to_load_from_cache

        found: list[Any] = [
            try_to_load_from_cache(self.repository, name, revision=self.revision) for name in self.names
        ]
        return next((path for path in found if isinstance(path, str)), None)

    def find(self) -> str:
        """Return the URL once the server says that it has the file. Raises `RecipeError` (E001) if it doesn't."""
        return self._found()[0]

    def fetched(self) -> str:
        """Return the path of the file in the cache, downloaded if necessary. Raises `RecipeError` (E001)."""
        from huggingface_hub import hf_hub_download

        if path := self.cached():
            return path
        url, name = self._found()  # without its retries, a download fails at once if there is no network
        try:
            path = hf_hub_download(self.repository, name, revision=self.revision)
        except Exception as error:  # of several libraries
            raise self._failed(url, error) from error
        with contextlib.suppress(Exception):  # a repository need not have a configuration
            hf_hub_download(self.repository, CONFIG, revision=self.revision)
        return path

    def _found(self) -> tuple[str, str]:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import EntryNotFoundError

        for name in self.names:
            url = hf_hub_url(self.repository, name, revision=self.revision)
            try:
                get_hf_file_metadata(url, timeout=SECONDS)
            except Exception as error:  # of several libraries
                if not isinstance(error, EntryNotFoundError) or name == self.names[-1]:
                    raise self._failed(url, error) from error
            else:
                break
        return url, name

    def _failed(self, url: str, error: Exception) -> Exception:
        from huggingface_hub import constants

        folder = os.path.join(constants.HF_HUB_CACHE, f"models--{self.repository.replace('/', '--')}")
        help = f'it was looked for in `{folder}`; download it elsewhere, and name the file: `weights="PATH"`'
        return failed(self.weights, url, error, help)


def repository_config(weights: str) -> str | None:
    """Return the path of a repository's configuration in the cache, or None if it is not there."""
    return in_repository(weights, (CONFIG,)).cached()


def in_repository(weights: str, names: tuple[str, ...] = FILES) -> HubFile:
    """Return a file of a repository. Raises `RecipeError` (E023) if its name is malformed."""
    repository, _, revision = weights.removeprefix(HUB).partition("@")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise fail("E023", f"`{weights}` doesn't name a repository", help=f'write `weights="{HUB}OWNER/NAME"`')
    if find_spec("huggingface_hub") is None:
        help = how_to_install("recipe-compiler[timm]")
        raise fail("E023", f"`{weights}` needs the package huggingface_hub", help=help)
    return HubFile(f"`{weights}`", repository, revision or None, names)


def failed(weights: str, url: str, error: Exception, help: str) -> Exception:
    """Return the error (E001) for weights that can't be downloaded."""
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return fail("E001", f"{weights} can't be downloaded from {url}: {reason}", help=help)
