"""Open datasets of Hugging Face's library `datasets`, from the Hub or from a folder, without decoding their images."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import attrs

from recipe.api import fail, how_to_install, part_named
from recipe.tricks._hf_saved import is_saved, splits_in

INSTALL = how_to_install("recipe-compiler[hf]")


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
        from recipe.tricks._hf_hub import of_hub

        return of_hub(name, config)
    assert folder is not None
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"the folder `{folder}` does not exist")
    if (saved := is_saved(folder)) and config is not None:
        help = "remove `config=`, or name another folder"
        raise fail("E070", f"`{folder}` was written by `save_to_disk`, so it has no configurations", help=help)
    with failing(f"`{folder}`"), _no_bars():
        from datasets import load_dataset

        return Opened(folder, splits_in(folder) if saved else splits_of(load_dataset(folder, config)))


def splits_of(found: Any) -> dict[str, Any]:
    """Return the splits of what the library returns, which may be a single one."""
    return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}


@contextmanager
def failing(name: str) -> Iterator[None]:
    """Report whatever the library raises, which may be of any of several libraries."""
    try:
        yield
    except Exception as error:
        raise fail("E070", f"{name} can't be opened as a dataset of Hugging Face: {line_of(error)}") from error


def line_of(error: BaseException) -> str:
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
    """Whether the path of a file is not that of images to evaluate on, by the last word in it that names a part."""
    parts = [part for word in re.split(r"[\W\d_]+", name) if (part := part_named(word))]
    return parts[-1:] in ([], ["train"])
