"""What a run is trained on: its classes, the preprocessing of its images, and fingerprints of its data and files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, in_, le, optional

from recipe.base.caller import another_folder, option
from recipe.base.channels import GRAY, RGB
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import UNREADABLE
from recipe.base.sealed import read_sealed, write_sealed
from recipe.base.source import Span
from recipe.base.typed_json import Malformed
from recipe.base.wording import listing, plural, system_reason
from recipe.data.appearance import AS_STORED, BACKGROUNDS, ORIENTATIONS, Appearance
from recipe.data.fingerprint import Fingerprint
from recipe.plugins.settings import INTERPOLATIONS, VIEWS

SCHEMA_VERSION = 1
VERSION = attrs.field(default=SCHEMA_VERSION, validator=in_((SCHEMA_VERSION,)), kw_only=True)

T = TypeVar("T")


@attrs.frozen
class Classes:
    """The contents of `classes.json`: the number of classes, and their names in the order of the outputs."""

    count: int = attrs.field(validator=ge(1))
    """The number of classes."""
    names: tuple[str, ...]
    """Empty if the dataset doesn't name its classes."""
    schema_version: int = VERSION
    """The version of the format."""


@attrs.frozen
class Preprocessing:
    """The contents of `preprocessing.json`: how images become inputs of the model."""

    size: int = attrs.field(validator=ge(1))
    """Height and width of an input, in pixels."""
    crop: float | None = attrs.field(validator=optional(and_(gt(0), le(1))))
    """The side of the centered square that is resized, as a fraction of the short side, or None for the whole image."""
    mean: tuple[float, ...] = attrs.field()
    """The mean of each channel, which is subtracted, for pixels in [0, 1]: of three, or of gray alone."""
    std: tuple[float, ...] = attrs.field(validator=deep_iterable(gt(0)))
    """The standard deviation of each channel, which is divided by, for pixels in [0, 1]."""
    interpolation: str = attrs.field(default="bilinear", validator=in_(INTERPOLATIONS))
    """How images are resized."""
    views: str = attrs.field(default="single", validator=in_(VIEWS))
    """The views of each image whose predictions are averaged."""
    training_size: int | None = attrs.field(default=None, validator=optional(ge(1)), kw_only=True, eq=False)
    """Height and width of an input in training, in pixels, or None if unknown."""
    training_interpolation: str | None = attrs.field(
        default=None, validator=optional(in_(INTERPOLATIONS)), kw_only=True, eq=False
    )
    """How images are resized in training, or None if unknown."""
    orientation: str = attrs.field(default=AS_STORED.orientation, validator=in_(ORIENTATIONS), kw_only=True)
    """Whether images are turned by their EXIF orientation."""
    background: str = attrs.field(default=AS_STORED.background, validator=in_(BACKGROUNDS), kw_only=True)
    """What is behind transparent pixels."""
    schema_version: int = attrs.field(default=4, validator=in_((1, 2, 3, 4)), kw_only=True)
    """The version of the format.

    The first one had neither interpolation nor views, the second nothing of training, the third no appearance.
    """

    @property
    def appearance(self) -> Appearance:
        """How images look before they are cropped."""
        return Appearance(self.orientation, self.background)

    @mean.validator
    @std.validator
    def _check_channels(self, attribute: Any, values: tuple[float, ...]) -> None:
        if len(values) not in (GRAY, RGB) or len(values) != len(self.mean):
            raise ValueError(f"`{attribute.name}` must have three numbers, or one for gray images")


@attrs.frozen
class Data:
    """The contents of `data.json`: fingerprints of the images, and of the files that the recipe names."""

    training: Fingerprint
    held_out: Fingerprint
    files: dict[str, str]
    """The digest of each file that a value of the recipe names, such as pretrained weights, by trick and field.

    Also those of the weights of its teachers, and of a model or weights that were passed from Python.
    """
    test: Fingerprint | None = None
    """Not written if there are no test images."""
    schema_version: int = VERSION


@attrs.frozen
class Provenance:
    """What a run is trained on."""

    classes: Classes
    preprocessing: Preprocessing
    data: Data


IMAGES = "the images"
"""What stands for the images among the places where a recipe names data, next to the names of files."""

OWN_WEIGHTS = "own model or weights"
"""The name, among the files, of a model or weights that were passed from Python."""

CLASSES, PREPROCESSING, DATA = "classes.json", "preprocessing.json", "data.json"


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write the three files of a provenance."""
    for file, part in (
        (CLASSES, provenance.classes),
        (PREPROCESSING, provenance.preprocessing),
        (DATA, provenance.data),
    ):
        fields = attrs.asdict(part)
        if part is provenance.data and provenance.data.test is None:
            del fields["test"]
        write_sealed(folder / file, fields)


def read_provenance(folder: Path) -> Provenance | None:
    """Return the provenance of a run, or None for a run of an earlier release, which has none of its files.

    Raises `RecipeError` (E120) if one of them is missing or damaged.
    """
    if not any(os.path.lexists(folder / file) for file in (CLASSES, PREPROCESSING, DATA)):
        return None
    parts = (
        _read(folder / CLASSES, Classes),
        _read(folder / PREPROCESSING, Preprocessing),
        _read(folder / DATA, Data),
    )
    if parts[0].names and len(parts[0].names) != parts[0].count:
        raise _damaged(folder / CLASSES, f"names {len(parts[0].names)} of {plural(parts[0].count, 'class')}")
    return Provenance(*parts)


def _read(path: Path, kind: type[T]) -> T:
    try:
        return read_sealed(path, kind)
    except Malformed as error:
        raise _damaged(path, str(error)) from None
    except OSError as error:
        raise _damaged(path, f"can't be read: {system_reason(error)}") from None


def _damaged(path: Path, why: str) -> RecipeError:
    help = "restore the file from a copy of the run; without it, labels could be assigned to the wrong classes"
    return fail("E120", f"`{path}` {why}", help=help)


def compared(folder: Path, provenance: Provenance, allow_changed: bool, places: Mapping[str, Span | None]) -> list[str]:
    """Compare today's data with that of the run to resume in a folder. Return what has changed, a clause each.

    ``places`` are those in the recipe where the images (`IMAGES`) and each file are named. Raises `RecipeError` (E113)
    if anything has changed unless ``allow_changed``, and if the classes have changed.
    """
    before = read_provenance(folder)
    if before is None:
        return []
    if changed := changed_classes(before.classes, provenance.classes):
        help = f"restore the classes, so that labels keep their meaning, or {another_folder()}"
        message = f"the classes are not those that the run in `{folder}` was trained on: {changed}"
        raise fail("E113", message, places.get(IMAGES), help=help)
    changes = [*_differing(before.data, provenance.data)]
    clauses = [clause for _, clause in changes]
    if changes and not allow_changed:
        if changes[-1][0] == OWN_WEIGHTS:
            message = f"`{folder}` contains a run of another recipe or model: {clauses[-1]}"
            raise fail("E113", message, help=another_folder())
        message = f"the data has changed since the run in `{folder}` started: {'; '.join(clauses)}"
        help = f"restore it, resume anyway with {option('--allow-changed')}, or {another_folder()}"
        raise fail("E113", message, next((places[what] for what, _ in changes if what in places), None), help=help)
    return clauses


def with_lost_files(folder: Path, provenance: Provenance) -> Provenance:
    """Return a provenance in which files that can't be read have the digests that the run in a folder recorded."""
    before = read_provenance(folder)
    recorded = before.data.files if before else {}
    files = {
        name: recorded.get(name, digest) if digest == UNREADABLE else digest
        for name, digest in provenance.data.files.items()
    }
    return attrs.evolve(provenance, data=attrs.evolve(provenance.data, files=files))


def differences(before: Data, now: Data) -> list[str]:
    """Return what has changed in the images and files since a run started, a clause each."""
    return [clause for _, clause in _differing(before, now)]


def _differing(before: Data, now: Data) -> Iterator[tuple[str, str]]:
    """Yield `IMAGES` or the name of a file for each change, with a clause about it."""
    parts = {"training": (before.training, now.training), "held-out": (before.held_out, now.held_out)}
    if before.test is not None and now.test is not None:
        parts["test"] = before.test, now.test
    for part, (was, is_) in parts.items():
        if was.images != is_.images:
            be = "is" if is_.images == 1 else "are"
            yield IMAGES, f"there {be} {plural(is_.images, f'{part} image')} instead of {was.images}"
        elif was.labels != is_.labels:
            yield IMAGES, f"the labels of the {part} images are different"
        elif was.contents != is_.contents:
            yield IMAGES, f"the {part} images are different"
    for name in sorted(before.files.keys() & now.files.keys() - {OWN_WEIGHTS}):
        if now.files[name] not in (before.files[name], UNREADABLE):  # what needs the file reports it
            yield name, f"the file of `{name}` is different"
    if before.files.get(OWN_WEIGHTS) != now.files.get(OWN_WEIGHTS):
        yield OWN_WEIGHTS, f"the {OWN_WEIGHTS}, from which the training starts, are different"


def in_held_out(changes: Iterable[str]) -> bool:
    """Whether any of the clauses that `differences` returns is about the held-out images."""
    return any("held-out images" in clause for clause in changes)


def changed_classes(before: Classes, now: Classes) -> str:
    """Return how the classes differ from those that a run was trained on, or an empty string."""
    if before.names and now.names and before.names != now.names:
        new, missing = {*now.names} - {*before.names}, {*before.names} - {*now.names}
        changes = [
            *([f"{listing(missing)} {'is' if len(missing) == 1 else 'are'} missing"] if missing else []),
            *([f"{listing(new)} {'is' if len(new) == 1 else 'are'} new"] if new else []),
        ]
        return " and ".join(changes) or "their order is different"
    return "" if before.count == now.count else f"there are {now.count} instead of {before.count}"
