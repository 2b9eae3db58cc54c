"""`evaluation.npz`: the logits of each held-out image, with the kept weights of a finished run.

The file has the arrays `index`, `label`, `logits` and, for images in files, `path`. It takes four bytes for each image
and class: 200 MB for 50,000 images of 1,000 classes.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from recipe.base import files
from recipe.base.caller import resuming
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.typed_json import Malformed
from recipe.base.wording import system_reason
from recipe.data.encoded import Encoded, ImageSource
from recipe.runs.reader import read_summary

EVALUATION = "evaluation.npz"


@attrs.frozen(eq=False)
class HeldOut:
    """What a run computed for its held-out images: N images that could be decoded, in their order, of K classes."""

    index: npt.NDArray[np.int64]
    """The position of each image among the held-out images: (N,)."""
    label: npt.NDArray[np.int64]
    """The class index of each image: (N,)."""
    logits: npt.NDArray[np.float32]
    """The logits of each image: (N, K)."""
    path: tuple[str, ...] | None = None
    """The path of each image, relative to the folder of the data, or None if the images are not in files."""

    @property
    def images(self) -> str:
        """A digest of which images these are, and of their labels."""
        return digest(b"".join((self.index.tobytes(), self.label.tobytes(), repr(self.path).encode())))

    @property
    def names(self) -> tuple[str, ...]:
        """What identifies each image: its path, or its position among the held-out images."""
        return tuple(map(str, self.index.tolist())) if self.path is None else self.path

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each image is classified correctly: (N,)."""
        right: npt.NDArray[np.bool_] = self.logits.argmax(1) == self.label
        return right

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        """The cross-entropy of each image, in nats: (N,)."""
        logits = self.logits.astype(np.float64)
        shifted = logits - logits.max(1, keepdims=True)
        own: npt.NDArray[np.float64] = shifted[np.arange(len(self.label)), self.label]
        return np.log(np.exp(shifted).sum(1)) - own  # type: ignore[no-any-return]


def write_held_out(folder: Path, held_out: HeldOut) -> str:
    """Write `evaluation.npz` to a run folder, the same bytes for the same values.

    Returns:
        The SHA-256 of the file.

    Raises:
        RecipeError: E111 if it can't be written.
    """
    arrays: dict[str, Any] = {"index": held_out.index, "label": held_out.label, "logits": held_out.logits}
    if held_out.path is not None:
        arrays["path"] = np.array(held_out.path, dtype=np.str_)
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    files.write(folder / EVALUATION, lambda file: file.write(packed.getbuffer()))
    return hashlib.sha256(packed.getbuffer()).hexdigest()


def read_held_out(folder: Path) -> HeldOut:
    """Return the contents of `evaluation.npz` in the folder of a finished run.

    Raises:
        RecipeError: E120 if the run isn't finished, has no such file because an earlier release made it, or the file is
            missing, damaged, or not the one that the summary names.
    """
    try:
        expected = read_summary(folder).get("evaluation_sha256")
    except (OSError, Malformed) as error:
        reason = system_reason(error) if isinstance(error, OSError) else str(error)
        message = f"`{folder}` has no finished run: `summary.json` {_because(error, reason)}"
        raise fail("E120", message, help=f"resume it with `{resuming(folder)}`") from None
    path = folder / EVALUATION
    if expected is None:
        raise fail("E120", f"the run in `{folder}` did not record its evaluation", help="train it again")
    try:
        data = files.read(path)
    except OSError as error:
        raise _damaged(path, _because(error, system_reason(error))) from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise _damaged(path, "does not have the digest that `summary.json` names")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _checked({name: arrays[name] for name in arrays.files})
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, f"is not the evaluation of a run: {error}") from None


def relative_paths(images: tuple[ImageSource, ...], *roots: str) -> tuple[str, ...]:
    """Return paths relative to the first of some folders that contains all of them, or else to their common folder.

    The parts of each are separated by ``/``. Images in larger files have names instead.
    """
    parents = {os.path.abspath(image.parent) for image in images if isinstance(image, Path)}
    common = os.path.commonpath(parents) if parents else ""
    within = (root for root in map(os.path.abspath, roots) if parents and os.path.commonpath([common, root]) == root)
    start = next(within, common)
    return tuple(
        image.name if isinstance(image, Encoded) else Path(os.path.relpath(image, start)).as_posix() for image in images
    )


def _because(error: Exception, reason: str) -> str:
    return f"can't be read: {reason}" if isinstance(error, OSError) else reason


def _checked(arrays: dict[str, Any]) -> HeldOut:
    """Return arrays as a `HeldOut`. Raises `ValueError` or `KeyError` if they don't fit together."""
    index, label, logits, path = arrays["index"], arrays["label"], arrays["logits"], arrays.get("path")
    kinds = (index.dtype, label.dtype, logits.dtype) == (np.int64, np.int64, np.float32)
    shapes = index.shape == label.shape == logits.shape[:1] and logits.ndim == 2
    if not (kinds and shapes and (path is None or (path.dtype.kind == "U" and path.shape == index.shape))):
        raise ValueError("its arrays do not fit together")
    return HeldOut(index, label, logits, None if path is None else tuple(path.tolist()))


def _damaged(path: Path, why: str) -> RecipeError:
    return fail("E120", f"`{path}` {why}", help="restore the file from a copy of the run, or train it again")
