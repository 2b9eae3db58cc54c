"""The labels and groups in the rows of a split of a dataset of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recipe.api import fail
from recipe.tricks._hf_features import check_label

SHOWN = 5
"""The number of rows that an error names."""


def is_labeled(rows: Any, column: str) -> bool:
    """Whether any image of a split has a label."""
    return column in rows.features and any(_texts(rows, column))


def texts_of(dataset: str, split: str, rows: Any, column: str) -> list[str]:
    """Return the label of each row by the classes of its own split, or an empty text if it has none."""
    check_label(dataset, split, rows.features, column)
    return _texts(rows, column)


def _texts(rows: Any, column: str) -> list[str]:
    values, names = values_of(rows, column), getattr(rows.features[column], "names", None)
    if names is None:
        return ["" if value is None else str(value).strip() for value in values]
    return ["" if value is None or value not in range(len(names)) else names[value] for value in values]


def groups_of(rows: Any, column: str | None) -> list[str]:
    """Return the group of each row, or an empty list if the split has no such column."""
    if column is None or column not in rows.features:
        return []
    return ["" if value is None else str(value).strip() for value in values_of(rows, column)]


def check_rows(dataset: str, used: Mapping[str, str], texts: Mapping[str, Sequence[str]], what: str) -> None:
    """Raise `RecipeError` (E070) if rows have an empty text."""
    for part, each in texts.items():
        if lacking := [number for number, text in enumerate(each) if not text]:
            some = ", ".join(map(str, lacking[:SHOWN])) + (", …" if len(lacking) > SHOWN else "")
            where = f"`{dataset}` has images {what} in the split `{used[part]}`"
            raise fail("E070", f"{where}, {len(lacking):,} of {len(each):,}: row {some}")


def values_of(rows: Any, column: str) -> list[Any]:
    table: Any = rows.select_columns([column]).with_format("arrow")[:]
    return list(table.column(column).to_pylist())
