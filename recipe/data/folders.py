"""Find the images in folders of classes, and report what is passed over. Needs no torch."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs

from recipe.base.wording import listing, near_file, plural
from recipe.data.formats import ENDINGS, FORMATS, NOT_READ, other_format

HIDDEN = ("__MACOSX",)
"""Hidden folders whose names don't start with a dot."""

Kind = tuple[str, str]
"""What one thing is, and what several of them are."""

BESIDE = ("file outside of the class folders", "files outside of the class folders")
BROKEN = ("broken link", "broken links")
DEEPER = ("image in a subfolder of a class", "images in subfolders of classes")
ENDING = ("file without an image's ending", "files without an image's ending")
HID = ("hidden file or folder", "hidden files or folders")
LINKED = ("link to a folder", "links to folders")
NAMED = ("folder named like an image", "folders named like images")
OUTSIDE = ("image in a folder that is no class", "images in folders that are no classes")
PIPE = ("pipe or device", "pipes or devices")
"""The kinds of what is ignored."""

ALIKE = (
    "name that differs from another one only in case or Unicode form",
    "names that differ from others only in case or Unicode form",
)
ELSEWHERE = ("link to an image elsewhere", "links to images elsewhere")
"""The kinds of what is unusual."""


SUBFOLDERS = ("join", "classes", "skip")
"""What to do with images in subfolders of a class: take them as images of the class, make each folder with images a
class, or ignore them."""


@attrs.frozen
class FoundImages:
    """The images in folders of classes, by class and then by name."""

    files: tuple[Path, ...]
    """The path of each image."""
    labels: tuple[int, ...]
    """The class index of each image."""
    notes: tuple[str, ...]
    """What was ignored and what is unusual, for `Sets.notes`."""

    def only(self, indices: Sequence[int]) -> FoundImages:
        """Return the images with these indices, without notes."""
        files = tuple(self.files[index] for index in indices)
        return FoundImages(files, tuple(self.labels[index] for index in indices), ())


def missing_folder(folder: Path) -> FileNotFoundError:
    """Return the error for a folder that doesn't exist. Its note, if it has one, is what to do."""
    error = FileNotFoundError(f"the folder `{folder}` does not exist")
    if near := near_file(folder):
        error.add_note(near)
    return error


def class_folders(folder: Path, subfolders: str = "skip") -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden ones.

    With ``subfolders="classes"``, return the paths of all folders below it that contain images directly, as
    ``animals/cat``. Raises `OSError` if the folder is missing, can't be read, or has no such folders.
    """
    if not os.path.isdir(folder):  # unlike Path.is_dir, it accepts names that are too long
        raise missing_folder(folder)
    found = _folders_in(folder)
    if subfolders == "classes":
        found = [name for name in _folders_below(folder) if any(map(_is_image, _entries(folder / name)))]
    if not found:
        only = "images but " if has_images(folder) else ""
        error = FileNotFoundError(f"{only}no class folders found in `{folder}`")
        layout = os.path.join(folder, "CLASS", "IMAGE.jpg")
        error.add_note(f"put the images of each class in a folder with the name of the class: `{layout}`")
        raise error
    return sorted(found)


def _folders_in(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if _leads_to_folder(entry) and not is_hidden(entry.name)]


def _folders_below(root: Path) -> Iterator[str]:
    """Yield the paths in ``root`` of all folders below it. Only those directly in it may be links."""
    left = _folders_in(root)
    while left:
        name = left.pop()
        yield name
        inside = (entry for entry in _entries(root / name) if entry.is_dir(follow_symlinks=False))
        left += [f"{name}/{entry.name}" for entry in inside if not is_hidden(entry.name)]


def _is_image(entry: os.DirEntry[str]) -> bool:
    return has_ending(entry.name) and not is_hidden(entry.name) and not _leads_to_folder(entry)


def has_images(folder: Path) -> bool:
    """Whether a folder contains images directly."""
    with os.scandir(folder) as entries:
        return any(map(_is_image, entries))


def has_class_folders(folder: Path) -> bool:
    """Whether a folder contains folders that aren't hidden."""
    return bool(_folders_in(folder))


def first_images(folder: Path, most: int) -> list[str]:
    """Return the paths of up to ``most`` images in the folders of a folder, however deep, sorted."""
    found, left = list[str](), [os.path.join(folder, name) for name in _folders_in(folder)]
    while left and len(found) < most:
        for entry in _entries(Path(left.pop())):
            if _is_image(entry):
                if _leads_to_file(entry):  # opening a pipe would wait
                    found.append(entry.path)
            elif entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name):
                left.append(entry.path)
    return sorted(found)[:most]


def shorter_side(path: str) -> int | None:
    """Return the shorter side of an image by its header, in pixels, or None if it can't be read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=[*FORMATS]) as image:
                return min(image.size)
    except Exception:  # it is reported when it is read
        return None


def find_images(folder: Path, classes: Sequence[str], subfolders: str = "skip") -> FoundImages:
    """Find the images of each class in the folder of its name, which may be missing.

    A file is an image if its ending is that of a format that can be read. ``subfolders`` is one of `SUBFOLDERS`. Hidden
    files, pipes, and files outside of the class folders are ignored; the notes count what is ignored. The notes also
    name the classes without images. Raises `OSError` if a folder can't be read.
    """
    seen = _Seen(folder, subfolders)
    files, labels = list[Path](), list[int]()
    _look_beside(seen, classes)
    if subfolders == "classes":
        _look_between(seen, classes)
    for label, name in enumerate(classes):
        if not os.path.isdir(folder / name):
            continue
        elsewhere, names, skipped = seen.is_elsewhere(folder / name), [], len(str(folder / name)) + 1
        for entry in _images_in(folder / name, seen):
            path = Path(entry.path)
            files.append(path)
            labels.append(label)
            names.append(entry.path[skipped:])
            if os.sep in names[-1]:
                seen.note(DEEPER, entry.path)
            if elsewhere or (entry.is_symlink() and seen.is_elsewhere(path)):
                seen.note(ELSEWHERE, entry.path)
        _compare(names, folder / name, seen)
    notes = [*seen.told("ignored", seen.ignored), *seen.told("unusual", seen.unusual)]
    return FoundImages(tuple(files), tuple(labels), (*notes, *without_images(folder, classes, labels)))


def without_images(folder: Path, classes: Sequence[str], labels: Iterable[int]) -> list[str]:
    """Return a note on the classes of which a folder has no images, if there are any. ``labels`` are those it has."""
    present = {*labels}
    missing = [name for label, name in enumerate(classes) if label not in present]
    count = f"{len(missing)} of {plural(len(classes), 'class')}"
    return [f"`{folder}` has no images of {count}: {listing(missing)}"] if missing else []


@attrs.define
class _Seen:
    """What a search through one folder of classes ignores, and what is unusual in it: how often, and an example."""

    root: Path
    subfolders: str
    ignored: dict[Kind, tuple[int, str]] = attrs.field(factory=dict)
    unusual: dict[Kind, tuple[int, str]] = attrs.field(factory=dict)

    def ignore(self, kind: Kind, path: str, number: int = 1) -> None:
        before, first = self.ignored.get(kind, (0, path))
        self.ignored[kind] = before + number, first

    def note(self, kind: Kind, path: str) -> None:
        before, first = self.unusual.get(kind, (0, path))
        self.unusual[kind] = before + 1, first

    def told(self, how: str, kinds: dict[Kind, tuple[int, str]]) -> Iterator[str]:
        """Yield a note on one of the two, if there is anything, and before it one for each format that is not read."""
        parts = list[str]()
        for kind, (number, example) in kinds.items():
            part = f"{number} {kind[number > 1]}, such as `{os.path.relpath(example, self.root)}`"
            if " in the format " in kind[0]:
                yield f"{how} in `{self.root}`: {part}, {NOT_READ} {'it' if number == 1 else 'them'} to JPEG or PNG"
            else:
                parts.append(part)
        if parts:
            yield f"{how} in `{self.root}`: {'; '.join(parts)}"

    def is_elsewhere(self, path: Path) -> bool:
        """Whether a path leads out of this folder and the one that contains it."""
        real = os.path.realpath(path)
        homes = (os.path.realpath(self.root), os.path.realpath(self.root.parent))
        return not any(os.path.commonpath((real, home)) == home for home in homes)


def _look_beside(seen: _Seen, classes: Sequence[str]) -> None:
    """Report files and hidden folders next to the class folders, and class folders whose names are alike."""
    for entry in _entries(seen.root):
        if is_hidden(entry.name):
            seen.ignore(HID, entry.path)
        elif not _leads_to_folder(entry):
            seen.ignore(BESIDE, entry.path)
    _compare(classes, seen.root, seen)


def _look_between(seen: _Seen, classes: Sequence[str]) -> None:
    """Report what is in the folders that are no classes, since no images are directly in them."""
    for name in sorted({*_folders_below(seen.root)} - {*classes}):
        for entry in _images_in(seen.root / name, seen):
            seen.ignore(OUTSIDE, entry.path)


def _images_in(folder: Path, seen: _Seen) -> Iterator[os.DirEntry[str]]:
    """Yield the images in a class folder by name, and report everything else in it."""
    for entry in _entries(folder):
        if is_hidden(entry.name):
            seen.ignore(HID, entry.path)
        elif _leads_to_folder(entry):
            yield from _look_deeper(entry, seen)
        elif other := other_format(entry.name):
            seen.ignore((f"image in the format {other}", f"images in the format {other}"), entry.path)
        elif not has_ending(entry.name):
            seen.ignore(ENDING, entry.path)
        elif _leads_to_file(entry):
            yield entry
        else:
            seen.ignore(PIPE if os.path.exists(entry.path) else BROKEN, entry.path)


def _look_deeper(subfolder: os.DirEntry[str], seen: _Seen) -> Iterator[os.DirEntry[str]]:
    """Yield the images in a subfolder of a class if they are taken, and report what is not."""
    if subfolder.is_symlink():  # it may lead back to where it is
        seen.ignore(LINKED, subfolder.path)
    elif seen.subfolders == "join":
        inside = [*_images_in(Path(subfolder.path), seen)]
        yield from inside
        if not inside and has_ending(subfolder.name):
            seen.ignore(NAMED, subfolder.path)
    elif seen.subfolders == "skip":
        images = [*_images_below(subfolder.path)]
        if images:
            seen.ignore(DEEPER, images[0], len(images))
        elif has_ending(subfolder.name):
            seen.ignore(NAMED, subfolder.path)


def _images_below(folder: str) -> Iterator[str]:
    """Yield the paths of the images in a folder and in its subfolders, in order."""
    for path, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        yield from (os.path.join(path, name) for name in sorted(names) if has_ending(name) and not is_hidden(name))


def _compare(names: Iterable[str], folder: Path, seen: _Seen) -> None:
    """Report names that are the same on a system that ignores case or Unicode form."""
    first: dict[str, str] = {}
    for name in names:
        folded = name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
        if first.setdefault(folded, name) != name:
            seen.note(ALIKE, os.path.join(folder, name))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one. A link to itself, or to what can't be looked at, is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _leads_to_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a regular file or a link to one."""
    try:
        return entry.is_file()
    except OSError:
        return False


def is_hidden(name: str) -> bool:
    """Whether a file or folder is ignored because of its name."""
    return name.startswith(".") or name in HIDDEN


def has_ending(name: str) -> bool:
    """Whether the name of a file ends like that of an image."""
    return os.path.splitext(name)[1].lower() in ENDINGS


def _raise(error: OSError) -> None:
    raise error
