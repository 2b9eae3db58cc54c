"""What a file of weights was trained on, as the folder of its run or the header of an export states it.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.typed_json import MOST, Malformed, fitted, parsed
from recipe.base.wording import plural, shown_path
from recipe.plugins.contexts import Preprocessing as Inputs
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
    return TrainedOn(_inputs(made.preprocessing), made.classes.names)


def recorded_inputs(path: str) -> Inputs | None:
    """Return the inputs that weights were trained on, or None if no run or export wrote them.

    They are empty for a run whose folder is elsewhere. Reads only the header of a safetensors file, and the lock and
    JSON next to the weights. What is wrong with them is reported when they are loaded.

    Args:
        path: A file of weights, a checkpoint of a run, or the folder of a run, finished or stopped.
    """
    try:
        header = _stated(Path(path))
        known = trained_on(path, header)
    except (OSError, RuntimeError, ValueError, RecipeError):  # links in a circle are a RuntimeError
        return None
    if known is not None:
        return known.inputs
    return Inputs() if "digest" in header else None


def _stated(path: Path) -> dict[str, str]:
    """Return the texts about weights: the digest of the run that a folder or a checkpoint belongs to, or a header."""
    folder = _folder_of(path.resolve())
    if folder is not None and path.name != NAME:
        lock = read_lock(folder)
        return {"digest": lock.digest} if lock else {}
    return _header(path)


def _header(path: Path) -> dict[str, str]:
    """Return the texts in the header of a safetensors file. Raises `OSError` or `ValueError`."""
    if not path.is_file():  # opening a pipe would wait forever
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = parsed(file.read(size)) if size <= MOST else None
    texts = header.get("__metadata__") if isinstance(header, dict) else None
    return texts if isinstance(texts, dict) and all(isinstance(text, str) for text in texts.values()) else {}


def _folder_of(path: Path) -> Path | None:
    """Return the folder of the run that a path may belong to."""
    if path.is_dir():
        return path
    if path.name == NAME:
        return path.parent
    return path.parent.parent if path.parent.name == "checkpoints" else None


def _exported(path: str, header: Mapping[str, str]) -> TrainedOn:
    try:
        size, mean, std, count, names = (
            parsed(header.get(name, "[]").encode()) for name in ("image_size", "mean", "std", "classes", "class_names")
        )
        content = {"size": size, "crop": None, "mean": mean, "std": std}
        if "interpolation" in header:  # earlier releases stated neither it nor the crop
            crop = parsed(header.get("crop", "null").encode())
            content |= {"interpolation": header["interpolation"], "crop": crop}
        preprocessing = fitted(content, Preprocessing)
        classes = fitted({"count": count, "names": names}, Classes)
        if names and len(names) != count:
            raise Malformed(f"names {len(names)} of {plural(count, 'class')}")
    except Malformed as error:
        message = f"the header of `{shown_path(path)}` {error}"
        raise fail("E001", message, help="export the run again") from None
    inputs = _inputs(preprocessing)
    return TrainedOn(inputs if "interpolation" in header else attrs.evolve(inputs, crop=None), classes.names)


def _inputs(made: Preprocessing) -> Inputs:
    size, interpolation = made.training_size or made.size, made.training_interpolation or made.interpolation
    return Inputs(
        mean=made.mean,
        std=made.std,
        size=size,
        crop="whole" if made.crop is None else made.crop,
        interpolation=interpolation,
        evaluation_size=None if made.size == size else made.size,
        evaluation_interpolation=None if made.interpolation == interpolation else made.interpolation,
    )
