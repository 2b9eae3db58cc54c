"""What a file of weights was trained on, as the folder of its run or the header of an export states it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from recipe.base.errors import fail
from recipe.base.typed_json import Malformed, fitted, parsed
from recipe.plugins.contexts import Preprocessing as Inputs
from recipe.runs import checkpoints
from recipe.runs.provenance import Classes, Preprocessing, read_provenance
from recipe.runs.recipe_lock import read_lock
from recipe.runs.weights import NAME

EXPORTED = ("digest", "image_size", "mean", "std", "classes")
"""Texts that the header of every export has."""


@attrs.frozen
class TrainedOn:
    """The inputs and the classes that weights were trained on."""

    inputs: Inputs
    """How images became inputs."""
    classes: tuple[str, ...]
    """The names of the classes in the order of the outputs, or empty if they are unknown."""


def trained_on(path: str, header: Mapping[str, str]) -> TrainedOn | None:
    """Return what weights were trained on, or None if that is unknown.

    Args:
        path: The folder of a run, its ``model.safetensors`` or a checkpoint in it, an export, or any other file.
        header: The texts that it has about the weights, which `weights_about` returns.

    Raises:
        RecipeError: If the header of an export is damaged (E001), or the files of a run next to it are (E120).
    """
    if all(name in header for name in EXPORTED):
        return _exported(path, header)
    folder = _folder_of(Path(path).resolve())  # a link may lead into the folder of a run
    lock = read_lock(folder) if folder else None
    if folder is None or lock is None or lock.digest != header.get("digest"):
        return None
    made = read_provenance(folder)
    if made is None:
        return None
    crop = made.preprocessing.crop
    inputs = attrs.evolve(_inputs(made.preprocessing), crop=1.0 if crop is None else crop)
    return TrainedOn(inputs, made.classes.names)


def _folder_of(path: Path) -> Path | None:
    """Return the folder of the run that a path may belong to."""
    if path.is_dir():
        return path
    if path.name == NAME:
        return path.parent
    return path.parent.parent if checkpoints.NAME.fullmatch(path.name) else None


def _exported(path: str, header: Mapping[str, str]) -> TrainedOn:
    try:
        size, mean, std, count, names = (
            parsed(header.get(name, "[]").encode()) for name in ("image_size", "mean", "std", "classes", "class_names")
        )
        preprocessing = fitted({"size": size, "crop": None, "mean": mean, "std": std}, Preprocessing)
        classes = fitted({"count": count, "names": names}, Classes)
        if names and len(names) != count:
            raise Malformed(f"names {len(names)} of {count} classes")
    except Malformed as error:
        message = f"the header of `{Path(path).name}` {error}"
        raise fail("E001", message, help="export the run again") from None
    return TrainedOn(_inputs(preprocessing), classes.names)


def _inputs(made: Preprocessing) -> Inputs:
    return Inputs(mean=made.mean, std=made.std, size=made.size, interpolation="bilinear")
