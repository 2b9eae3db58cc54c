"""Open folders that `save_to_disk` of Hugging Face's library `datasets` wrote."""

from __future__ import annotations

import json
import os
from typing import Any

SPLITS, STATE = "dataset_dict.json", "state.json"
"""A file of each kind of folder: one with several splits, and one with a single one."""


def is_saved(folder: str) -> bool:
    """Whether `save_to_disk` wrote a folder."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in (SPLITS, STATE))


def splits_in(folder: str) -> dict[str, Any]:
    """Return the splits in a folder. Raises what the library raises."""
    names = os.path.join(folder, SPLITS)
    if not os.path.isfile(names):
        split = _opened(folder)
        return {str(split.split or "train"): split}
    with open(names, encoding="utf-8") as file:
        return {split: _opened(os.path.join(folder, split)) for split in json.load(file)["splits"]}


def _opened(folder: str) -> Any:
    """Return a single split. The library can't open one without rows, which has no files."""
    from datasets import Dataset, load_from_disk

    with open(os.path.join(folder, STATE), encoding="utf-8") as file:
        has_rows = bool(json.load(file)["_data_files"])
    return load_from_disk(folder) if has_rows else Dataset.from_dict({})
