"""The inputs of published weights, from a table, so that a recipe can be bound without importing torch or timm."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from recipe.api import Preprocessing


@cache
def _published() -> Mapping[str, Preprocessing]:
    """Return the inputs of published weights, by model, or by model and weights where these differ."""
    lines = (resources.files("recipe.tricks") / "_pretrained.txt").read_text("utf-8").splitlines()
    found, inputs = dict[str, Preprocessing](), Preprocessing()
    for line in (line for line in lines if line and not line.startswith("#")):
        if line.startswith(" "):
            found |= dict.fromkeys(line.split(), inputs)
            continue
        mean, std, *rest = (part.split() for part in line.split(" | "))
        size, crop, interpolation = map(" ".join, rest)
        inputs = Preprocessing(
            mean=tuple(map(float, mean)),
            std=tuple(map(float, std)),
            size=None if size == "-" else int(size),
            crop=float(crop) if crop.replace(".", "").isdigit() else crop,
            interpolation=interpolation,
        )
    return found


def published(model: str, name: str | None) -> Preprocessing | None:
    """Return the inputs of the weights of a model with this name, or of its default ones, or None if unknown.

    Needs neither torch nor timm: the table is written from them by `python -m tests.tricks.pretrained`.
    """
    known = _published()
    stem, _, tag = model.partition(".") if model.startswith("timm:") else (model, "", "")
    name = tag if name in (None, "DEFAULT") else name
    return known.get(f"{stem}.{name}") or known.get(stem)
