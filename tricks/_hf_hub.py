"""Open datasets of the Hugging Face Hub, or what was downloaded of them before if it can't be reached."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from recipe.api import fail
from recipe.tricks._hf import Opened, failing, line_of, splits_of

SECONDS = 10
"""How long to wait for an answer from the network."""


def of_hub(name: str, config: str | None) -> Opened:
    """Open a dataset of the Hub, which is downloaded if necessary.

    Raises `RecipeError` (E070), also if there is a folder of that name, which the library would open instead.
    """
    repository = name.partition("@")[0]
    if os.path.exists(repository):
        help = f'for the folder, write `data hf folder="{repository}"`; for the Hub, run from another folder'
        raise fail("E070", f"`{repository}` may be a dataset of the Hub, or the folder of that name here", help=help)
    from datasets import load_dataset
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    repository, _, revision = name.partition("@")
    try:
        commit = HfApi().dataset_info(repository, revision=revision or None, timeout=SECONDS).sha
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        help = "check its name; if it is private or gated, log in with `hf auth login`"
        reason = str(error).strip().splitlines()[-1]
        raise fail("E070", f"the Hugging Face Hub does not give access to `{name}`: {reason}", help=help) from error
    except Exception as error:  # of several libraries: there is no network
        return _of_cache(name, config, error)
    with failing(f"`{name}`"):
        found = splits_of(load_dataset(repository, config, revision=commit))
    if revision and commit:
        _remember(repository, revision, commit)
    notes = () if revision else (f"`{name}` is at revision {commit}: to keep it, write `{name}@{commit}`",)
    return Opened(name, found, notes)


def _of_cache(name: str, config: str | None, error: Exception) -> Opened:
    """Open a dataset that was downloaded before.

    Raises `RecipeError` (E070) if only another revision was downloaded, or nothing.
    """
    import datasets
    from huggingface_hub import constants

    repository, _, revision = name.partition("@")
    switches: tuple[Any, ...] = (datasets.config, constants)
    before = [switch.HF_HUB_OFFLINE for switch in switches]
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    help = (
        f"it was looked for in `{datasets.config.HF_DATASETS_CACHE}`; download its files elsewhere, "
        'and name their folder: `data hf folder="PATH"`'
    )
    try:
        for switch in switches:  # otherwise it would ask the Hub again, for half a minute
            switch.HF_HUB_OFFLINE = True
        found = splits_of(datasets.load_dataset(repository, config))
    except Exception as missing:
        message = f"`{name}` has not been downloaded, and the Hugging Face Hub can't be reached: {reason}"
        if isinstance(missing, ValueError):
            message, help = f"`{name}` can't be opened: {line_of(missing)}", ""
        raise fail("E070", message, help=help) from error
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = value
    commits = {
        os.path.basename(os.path.dirname(file["filename"])) for each in found.values() for file in each.cache_files
    }
    if revision and commits != {_remembered(repository, revision)}:
        has = " and ".join(f"`{commit}`" for commit in sorted(commits))
        message = f"the revision `{revision}` of `{repository}` has not been downloaded, only {has}"
        raise fail("E070", f"{message}, and the Hugging Face Hub can't be reached: {reason}", help=help)
    return Opened(name, found, (f"`{name}` is what was downloaded before: the Hugging Face Hub can't be reached",))


def _remember(repository: str, revision: str, commit: str) -> None:
    """Write which commit a branch or tag is, where the Hub's library has this. It does not, if it is given a commit."""
    file = _file(repository, revision)
    with suppress(OSError):  # the cache may be read-only; then it is not known without a network
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(commit)


def _remembered(repository: str, revision: str) -> str:
    """Return the commit of a branch or tag when it was last downloaded, or the revision, which may be a commit."""
    try:
        return _file(repository, revision).read_text().strip()
    except OSError:
        return revision


def _file(repository: str, revision: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repository, repo_type="dataset")
    return Path(constants.HF_HUB_CACHE, folder, "refs", revision)
