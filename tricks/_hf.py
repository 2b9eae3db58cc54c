"""Open datasets of Hugging Face's library `datasets`, from the Hub or from a folder, without decoding their images."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import attrs

from recipe.api import fail

SECONDS = 10
"""How long to wait for an answer from the network."""

SAVED = ("dataset_dict.json", "state.json")
"""A file of each kind of folder that `save_to_disk` writes."""

INSTALL = "install it with `pip install 'recipe-compiler[hf]'`"


@attrs.frozen
class Opened:
    """A dataset that was opened."""

    name: str
    """What to call it in messages."""
    splits: Mapping[str, Any]
    """Each of its splits, a `datasets.Dataset`."""
    notes: tuple[str, ...] = ()


@attrs.frozen
class ImageColumn:
    """The encoded images in a column, which are read by row. Pickled, it names the files of the dataset."""

    dataset: Any
    column: str

    def read(self, index: int) -> bytes:
        """Return the bytes of an image. Raises `OSError` if there are none."""
        cell = self.dataset[index][self.column]
        if cell["bytes"] is not None:
            return bytes(cell["bytes"])
        with open(cell["path"], "rb") as file:
            return file.read()


def is_installed() -> bool:
    """Whether the library is installed. A folder called `datasets` would pass for a package of that name."""
    try:
        return bool(metadata.version("datasets"))
    except metadata.PackageNotFoundError:
        return False


def opened(name: str | None, folder: str | None, config: str | None) -> Opened:
    """Open a dataset of the Hub, which is downloaded if necessary, or of a folder.

    Raises `OSError` if the folder does not exist, and `RecipeError` (E070) if the dataset can't be opened.
    """
    if not is_installed():
        raise fail("E070", "datasets of Hugging Face need the package `datasets`", help=INSTALL)
    if name is not None:
        return _of_hub(name, config)
    assert folder is not None
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"the folder `{folder}` does not exist")
    with _failing(f"`{folder}`"), _no_bars():
        if any(os.path.isfile(os.path.join(folder, name)) for name in SAVED):
            from datasets import load_from_disk

            return Opened(folder, _splits(load_from_disk(folder)))
        from datasets import load_dataset

        return Opened(folder, _splits(load_dataset(folder, config)))


def _of_hub(name: str, config: str | None) -> Opened:
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
    with _failing(f"`{name}`"):
        found = _splits(load_dataset(repository, config, revision=commit))
    notes = () if revision else (f"`{name}` is at revision {commit}: to keep it, write `{name}@{commit}`",)
    return Opened(name, found, notes)


def _of_cache(name: str, config: str | None, error: Exception) -> Opened:
    """Open a dataset that was downloaded before. Raises `RecipeError` (E070) if it is another revision, or none."""
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
        found = _splits(datasets.load_dataset(repository, config))
    except Exception as missing:
        message = f"`{name}` has not been downloaded, and the Hugging Face Hub can't be reached: {reason}"
        if isinstance(missing, ValueError):
            message, help = f"`{name}` can't be opened: {_line(missing)}", ""
        raise fail("E070", message, help=help) from error
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = value
    commits = {
        os.path.basename(os.path.dirname(file["filename"])) for each in found.values() for file in each.cache_files
    }
    if revision and commits != {revision}:
        has = " and ".join(f"`{commit}`" for commit in sorted(commits))
        message = f"the revision `{revision}` of `{repository}` has not been downloaded, only {has}"
        raise fail("E070", f"{message}, and the Hugging Face Hub can't be reached: {reason}", help=help)
    return Opened(name, found, (f"`{name}` is what was downloaded before: the Hugging Face Hub can't be reached",))


def _splits(found: Any) -> dict[str, Any]:
    return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}


@contextmanager
def _failing(name: str) -> Iterator[None]:
    """Report whatever the library raises, which may be of any of several libraries."""
    try:
        yield
    except Exception as error:
        raise fail("E070", f"{name} can't be opened as a dataset of Hugging Face: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """Return the first line of the error that caused another."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _no_bars() -> Iterator[None]:
    """A context without progress bars, which would be those of a conversion that takes seconds."""
    from datasets import disable_progress_bars, enable_progress_bars
    from datasets.utils import are_progress_bars_disabled

    hidden = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            enable_progress_bars()


def rows_in(folder: str) -> int:
    """Return the number of images to train on or to split in the files of a folder, without opening it as a dataset."""
    try:
        from pyarrow import ipc, memory_map
        from pyarrow.parquet import read_metadata

        count = 0
        for file in filter(_trains, glob.glob("**/*.parquet", root_dir=folder, recursive=True)):
            count += read_metadata(os.path.join(folder, file)).num_rows
        for file in filter(_trains, glob.glob("**/*.arrow", root_dir=folder, recursive=True)):
            with memory_map(os.path.join(folder, file)) as data:
                count += sum(batch.num_rows for batch in ipc.open_stream(data))
        return count
    except (OSError, ValueError, ImportError):  # it is reported when it is opened
        return 0


def _trains(name: str) -> bool:
    """Whether the name of a file or a split is not that of images to evaluate on."""
    return not any(part in name.lower() for part in ("val", "test", "dev", "eval"))
