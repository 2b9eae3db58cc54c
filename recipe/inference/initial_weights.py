"""The weights that a training starts from: those of a file, or those of a run in its folder."""

from __future__ import annotations

import os
from pathlib import Path

from recipe.base.errors import RecipeError
from recipe.base.wording import listing
from recipe.compiler.weights_file import Weights, file_about, read_file
from recipe.data.images import Sets
from recipe.inference.kept import kept_weights, last_checkpoint, run_summary
from recipe.language.recipe_input import LOCK
from recipe.plan.plan import Plan
from recipe.plugins.field_contracts import ModelFields
from recipe.runs import checkpoints
from recipe.runs.provenance import Classes, changed_classes
from recipe.runs.trained_on import trained_on
from recipe.runs.weights import NAME


def read_weights(path: str, *, meta: bool = False) -> Weights:
    """Return the weights in a file, or those of a run: the ones that it kept, or of its last checkpoint if it stopped.

    Args:
        path: A safetensors file, a file that torch.save wrote, such as the checkpoint of a trainer, or a run folder.
        meta: Whether to return them on the meta device, which reads their names, shapes and types alone.

    Returns:
        The tensors by name, with notes about where they are from.

    Raises:
        RecipeError: If the file can't be read or has no weights (E001), or the run is damaged (E120).
    """
    folder = Path(path)
    if not os.path.isfile(folder / LOCK):
        return read_file(path, meta=meta)
    if run_summary(folder):
        return read_file(str(folder / NAME), meta=True) if meta else Weights(kept_weights(folder))
    stopped, damaged = last_checkpoint(folder)
    weights = stopped.average or stopped.model
    of = "the averages" if stopped.average else "the weights"
    which = f"instead of {listing(path.name for path in damaged)}, which can't be read" if damaged else "the last one"
    notes = (f"{of} of step {stopped.step}, from a checkpoint of a run that was stopped, {which}",)
    return Weights({name: tensor.to("meta") if meta else tensor for name, tensor in weights.items()}, notes)


def weights_about(path: str) -> dict[str, str]:
    """Return the texts that a file of weights, or the folder of a run, has about them, by name.

    These are the header of a safetensors file, or the digest of a run. Raises `RecipeError` (E001).
    """
    file = file_of_run(Path(path))
    return file_about(path if file is None else str(file))


def file_of_run(folder: Path) -> Path | None:
    """Return the file with the weights of a run, or None if the folder has no run, or its run no weights yet."""
    if not os.path.isfile(folder / LOCK):
        return None
    if os.path.lexists(folder / "summary.json"):
        return folder / NAME
    saved = checkpoints.saved_in(folder / "checkpoints")
    return saved[-1] if saved else None


def other_classes(plan: Plan, sets: Sets) -> str:
    """Return how the classes that the pretrained weights were trained on differ from those of the images.

    An empty string if they don't, or if the names of either are unknown. Raises `RecipeError` (E001 or E120).
    """
    weights = ModelFields.of(plan.base.trick).weights
    if not isinstance(weights, str) or not os.path.isabs(weights) or not sets.names:
        return ""
    try:
        header = weights_about(weights)
    except RecipeError:  # what loads it reports it, unless a plugin reads another format
        return ""
    known = trained_on(weights, header)
    if known is None or not known.classes:
        return ""
    before, now = (Classes(len(names), names) for names in (known.classes, sets.names))
    return changed_classes(before, now)
