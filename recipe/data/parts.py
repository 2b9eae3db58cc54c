"""The parts of a dataset, and what is split off from its training images. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import attrs

from recipe.base.wording import listing, plural
from recipe.data.folders import FoundImages
from recipe.data.splits import Split, groups_of

SHARE = 0.2
"""The part of the images that is held out if nothing is stated and the dataset has no held-out images."""

CALLED = {"train": "training images", "val": "held-out images", "test": "test images"}


@attrs.frozen
class FileParts:
    """The images of each part of a dataset, and their classes."""

    classes: tuple[str, ...]
    """The names of the classes."""
    train: FoundImages
    """The images to train on."""
    val: FoundImages
    """The images to evaluate on during training."""
    test: FoundImages | None
    """The images for a test at the end, or None."""
    external: FoundImages | None
    """What a model that was trained elsewhere is evaluated on, or None for ``val``."""
    notes: tuple[str, ...]
    """What was split off, what was ignored and what is unusual, for `Sets.notes`."""
    fault: OSError | None = None
    """Why these images can't be used, for `Sets.fault`."""


@attrs.frozen
class Drawn:
    """The images of each part, by their indices, and what to report about the parts that were split off."""

    parts: dict[str, list[int]]
    notes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Labeled:
    """Some images of a dataset, such as those to train on before others are split off."""

    classes: Sequence[str]
    """The names of the classes."""
    labels: Sequence[int]
    """The class index of each image."""
    names: Sequence[str]
    """The name of each image, which decides on its part. See `Split.divide`."""
    where: str
    """Where the images are, for messages, such as a folder in backticks."""
    groups: Sequence[str] = ()
    """What each image belongs to, or empty if only the pattern of the split says so."""
    by: str = "by their names"
    """What decides on the part of an image, for messages."""

    def lacking(self, part: str, chosen: Sequence[int]) -> Iterator[str]:
        """Yield a note on the classes of which none of the chosen images is."""
        present = {self.labels[index] for index in chosen}
        if missing := [name for label, name in enumerate(self.classes) if label not in present]:
            some = f"{len(missing)} of {plural(len(self.classes), 'class')}"
            yield f"no {CALLED[part]} of {some}: {listing(missing)}"

    def drawn(self, split: Split, assumed: bool) -> Drawn:
        """Split these images.

        Raises `ValueError` if a stated part has no images, if the group pattern does not match a name, or if a seed is
        stated although nothing is split off.

        Args:
            split: How to divide them.
            assumed: Whether the share to hold out is the default.
        """
        shares = {"val": split.val, "test": split.test}
        shares = {part: share for part, share in shares.items() if share}
        if not shares:
            if split.seed:
                raise ValueError("`split-seed` has no effect, since no images are split off: remove it")
            return Drawn({"train": [*range(len(self.labels))]}, ())
        by = "by their groups" if split.group is not None or self.groups else self.by
        parts = split.divide(self.classes, self.labels, self.names, self.groups)
        drawn = {part: parts[part] for part in ("train", *shares)}
        return Drawn(
            drawn,
            tuple(
                note
                for part, share in shares.items()
                for note in self._split_off(part, share, by, drawn[part], assumed and part == "val")
            ),
        )

    def grouped(self, pattern: str | None) -> list[str]:
        """Return the group of each image, or an empty text if it has none."""
        return [*self.groups] or groups_of(self.names, pattern)

    def _split_off(self, part: str, share: float, by: str, chosen: Sequence[int], assumed: bool) -> Iterator[str]:
        """Yield notes on a part that is split off. Raises `ValueError` if it is stated and has no images."""
        percentage = f"{100 * share:.4g} %"
        if not chosen and not assumed:
            why = f"{percentage} of {plural(len(self.labels), 'image')} in {self.where} has none"
            raise ValueError(
                f"no {CALLED[part]}: {why}; state a larger part, such as `{part}=50%`, or another `split-seed`"
            )
        why = ", since no others are stated" if assumed else ""
        some = f"{len(chosen)} of the {len(self.labels)} in {self.where}"
        yield f"{CALLED[part]}: {some}, {percentage} {by}{why}"
        if chosen:
            yield from self.lacking(part, chosen)
        else:
            yield f"state a larger part, such as `{part}=50%`"


def split_off(notes: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what messages call the parts that notes report as split off, and the field with the share of each."""
    notes = [*notes]
    yield from (
        (called, part) for part, called in CALLED.items() if any(note.startswith(f"{called}: ") for note in notes)
    )


def shared_groups(groups: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield notes on groups that are in several parts, which happens if a dataset has the parts already.

    Args:
        groups: The groups of the images of each part, with empty texts for images without one.
    """
    each = {part: {*names} - {""} for part, names in groups.items()}
    for part, other in combinations(each, 2):
        if both := sorted(each[part] & each[other]):
            where = f"in both the {CALLED[part]} and the {CALLED[other]}"
            yield f"{plural(len(both), 'group')} {where}, so results may look too good: {listing(both, 3)}"
    if len(each) > 1:
        yield from (f"the {CALLED[part]} have no groups to compare" for part, names in each.items() if not names)


Chosen = tuple[str, Sequence[int]]
"""Some images: the part of the dataset that has them, and their indices there."""


@attrs.frozen
class Division:
    """Which images of a dataset are for what."""

    train: Chosen | None
    """The images to train on, or None if the dataset has none."""
    val: Chosen
    """The images to evaluate on during training."""
    test: Chosen | None
    """The images for a test at the end, or None."""
    external: Chosen | None
    """What a model that was trained elsewhere is evaluated on, or None for ``val``."""
    notes: tuple[str, ...]
    """What was split off, and what is not used."""


def divided(
    parts: Mapping[str, Labeled], shares: Mapping[str, float], seed: int = 0, group: str | None = None
) -> Division:
    """Decide which images of a dataset are for what. If none are held out, 20 % of the training images are.

    Raises `ValueError` if the images can't be split as stated, or if there are none.

    Args:
        parts: The images that the dataset has for ``train``, ``val`` and ``test``, as far as it has some.
        shares: The shares of the training images to use for ``val`` and ``test``, as far as they are stated.
        seed: Another seed splits the images in another way.
        group: The pattern of names whose `{}` names what stays on one side of a split. See `Split`.
    """
    own = {part: labeled for part, labeled in parts.items() if labeled.labels and part not in shares}
    notes = [
        f"{plural(len(labeled.labels), 'image', form=',')} of {labeled.where} not used: {CALLED[part]}, since "
        f"`{part}=` is stated"
        for part, labeled in parts.items()
        if part in shares and labeled.labels
    ]
    chosen: dict[str, Chosen] = {part: (part, range(len(labeled.labels))) for part, labeled in own.items()}
    if "train" not in own:
        held_out = chosen.get("val") or chosen.get("test")
        if shares or held_out is None:
            raise ValueError("there are no training images")
        notes.append(f"all images of {own[held_out[0]].where} are held out: there are none to train on")
        return Division(None, held_out, None, None, tuple(notes))
    for part in ("val", "test"):
        if part in own:
            notes += own[part].lacking(part, chosen[part][1])
    assumed = "val" not in {*own, *shares}
    whole = chosen["train"]
    val = SHARE if assumed else shares.get("val", 0.0)
    drawn = own["train"].drawn(Split(val=val, test=shares.get("test", 0.0), seed=seed, group=group), assumed)
    chosen |= {part: ("train", indices) for part, indices in drawn.parts.items()}
    test = chosen.get("test")
    external = (test or whole) if assumed else None
    if group is not None or any(labeled.groups for labeled in own.values()):
        every = {part: labeled.grouped(group) for part, labeled in own.items()}
        notes += shared_groups({part: [every[of][at] for at in indices] for part, (of, indices) in chosen.items()})
    return Division(chosen["train"], chosen["val"], test, external, (*notes, *drawn.notes))
