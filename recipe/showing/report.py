"""What a look at a dataset found, as data and as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

import attrs

from recipe.base import notebook
from recipe.base.printable import printable
from recipe.base.wording import columns, plural, with_near_paths
from recipe.data.appearance import IGNORED, STORED, Appearance
from recipe.data.formats import NOT_READ
from recipe.data.parts import split_off

SCHEMA_VERSION = 1
FEW = 5
"""The number of classes, images or groups that the text names."""
MOST_UNREADABLE = 50
"""The number of images that can't be read that the text names."""


@attrs.frozen
class Part:
    """A part of a dataset."""

    name: str
    """``training``, ``held-out`` or ``test``."""
    per_class: tuple[int, ...]
    """The number of images of each class."""

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(self.per_class)

    @property
    def balance(self) -> float | None:
        """How many times as many images the largest class has as the smallest, or None if a class has none."""
        return max(self.per_class) / min(self.per_class) if min(self.per_class) else None

    @property
    def missing(self) -> list[int]:
        """The classes without images."""
        return [label for label, count in enumerate(self.per_class) if not count]

    @property
    def smallest(self) -> list[int]:
        """The classes, those with the fewest images first."""
        return sorted(range(len(self.per_class)), key=lambda label: (self.per_class[label], label))


@attrs.frozen
class Sizes:
    """The sizes of images: width and height, in pixels."""

    smallest: tuple[int, int]
    """That with the fewest pixels."""
    largest: tuple[int, int]
    """That with the most pixels."""
    most_frequent: tuple[int, int]
    """That of the most images."""
    images: int
    """The number of images of the most frequent size."""
    smaller: int
    """The number of images whose shorter side is smaller than the network's input."""


@attrs.frozen
class Pixels:
    """What images are like, without decoding them."""

    looked_at: int
    """The number of images that were looked at."""
    of: int
    """The number of images."""
    sizes: Sizes | None
    """Their sizes, or None if none is known."""
    kinds: Mapping[str, int]
    """The number of images by their channels: ``RGB``, ``gray``, ``palette`` or another mode of Pillow."""
    transparent: int
    """The number of images that may have transparent pixels."""
    deep: int
    """The number of images with more than 8 bits per channel."""
    turned: int
    """The number of images whose EXIF orientation isn't upright. Those of TIFF don't count."""
    appearance: Appearance
    """Whether they are turned, and what is behind transparent pixels."""


@attrs.frozen
class Member:
    """An image."""

    part: str
    """The name of its part."""
    image: str
    """Its path, or its index in the part."""
    label: str
    """The name of its class."""

    def __str__(self) -> str:
        return f"`{self.image}`" if not self.image.isdecimal() else f"{self.part} image {self.image}"


@attrs.frozen
class Unreadable:
    """An image that can't be read."""

    member: Member
    """The image."""
    reason: str
    """Why it can't be read, as far as its header shows."""


@attrs.frozen
class Group:
    """Two or more images with the same contents."""

    images: tuple[Member, ...]
    """The images, by part and then by index."""

    @property
    def across(self) -> bool:
        """Whether they are in several parts."""
        return len({image.part for image in self.images}) > 1

    @property
    def differing(self) -> bool:
        """Whether they are of several classes."""
        return len({image.label for image in self.images}) > 1


@attrs.frozen
class Duplicates:
    """Images with the same contents."""

    groups: tuple[Group, ...]
    """A group for each of their contents."""
    compared: int
    """The number of images that were compared with all others."""


@attrs.frozen(repr=False)
class DataReport:
    """What a look at a dataset found."""

    data: str
    """The statement that opens the images."""
    size: int
    """The height and width of the network's input, in pixels."""
    classes: tuple[str, ...]
    """The names of the classes, or their numbers."""
    parts: tuple[Part, ...]
    """The parts of the dataset."""
    pixels: Pixels
    """The sizes and channels of the images."""
    unreadable: tuple[Unreadable, ...]
    """The images that can't be read, as far as their headers show."""
    duplicates: Duplicates | None
    """Images with the same contents, or None if a trick's own code loads the images."""
    notes: tuple[str, ...]
    """What was passed over in the dataset, and what is unusual."""
    skips: bool = False
    """Whether a training skips images that can't be read."""
    what_to_do: str = "repair or remove them"
    """What to do about images that can't be read."""
    unfit: tuple[str, ...] = ()
    """Why a training refuses the dataset, and what to do."""

    @property
    def findings(self) -> tuple[str, ...]:
        """What is probably wrong and what to do about it, a sentence each: empty if nothing is."""
        return tuple(self._findings())

    def _findings(self) -> Iterator[str]:
        yield from self.unfit
        shares = dict(split_off(self.notes))
        untrained = {*self.parts[0].missing} if self.parts[0].images else set[int]()
        for part in self.parts[1:]:
            missing = [label for label in part.missing if label not in untrained]
            if missing and part.images:
                called = f"{part.name} images"
                help = "add some"
                if share := shares.get(called):
                    help += f", split off more with a larger `{share}=`, or others with another `split-seed=`"
                yield f"{self._few(missing)} without {called}: {help}"
        yield from (note for note in self.notes if NOT_READ in note)
        if self.unreadable and not self.skips:
            such = "" if len(self.unreadable) == 1 else ", the first one"
            broken = f"{plural(len(self.unreadable), 'image')} can't be read"
            yield f"{broken}{such}: {self.unreadable[0].reason}; {self.what_to_do}"
        groups = self.duplicates.groups if self.duplicates else ()
        across = [group for group in groups if group.across]
        differing = [group for group in groups if group.differing]
        for found, what, help in (
            (across, "in several parts", "keep each in one part"),
            (differing, "with different classes", "keep each in its class"),
        ):
            if found:
                count = plural(len(found), "image occurs", "images occur")
                one, *others = found[0].images
                other = next((each for each in others if (each.part, each.label) != (one.part, one.label)), others[0])
                said = f"{one} ({one.part}, `{one.label}`) and {other} ({other.part}, `{other.label}`)"
                yield f"{count} {what}, such as {said}; {help}"

    def _few(self, labels: list[int]) -> str:
        names = ", ".join(f"`{self.classes[label]}`" for label in labels[:FEW])
        more = f" and {len(labels) - FEW} more" if len(labels) > FEW else ""
        return f"{plural(len(labels), 'class', 'classes')} ({names}{more})"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values. docs/reference/json.md lists the fields."""
        return {
            "schema_version": SCHEMA_VERSION,
            "data": self.data,
            "size": self.size,
            "parts": [self._part(part) for part in self.parts],
            "looked_at": self.pixels.looked_at,
            "of": self.pixels.of,
            "sizes": self._sizes(),
            "kinds": dict(self.pixels.kinds),
            "transparent": self.pixels.transparent,
            "deep": self.pixels.deep,
            "turned": self.pixels.turned,
            "unreadable": [{**_member(each.member), "reason": each.reason} for each in self.unreadable],
            "duplicates": self._duplicates(),
            "notes": [*self.notes],
            "findings": [*self.findings],
        }

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def _part(self, part: Part) -> dict[str, Any]:
        return {
            "name": part.name,
            "images": part.images,
            "fewest": min(part.per_class),
            "median": median(part.per_class),
            "most": max(part.per_class),
            "balance": part.balance,
            "classes": [
                {"class": name, "images": count} for name, count in zip(self.classes, part.per_class, strict=True)
            ],
        }

    def _sizes(self) -> dict[str, Any] | None:
        if (sizes := self.pixels.sizes) is None:
            return None
        sides = {name: getattr(sizes, name) for name in ("smallest", "largest", "most_frequent")}
        each = {name: {"width": width, "height": height} for name, (width, height) in sides.items()}
        return {**each, "images": sizes.images, "smaller": sizes.smaller}

    def _duplicates(self) -> dict[str, Any] | None:
        if self.duplicates is None:
            return None
        groups = [
            {"images": [*map(_member, group.images)], "across": group.across, "differing": group.differing}
            for group in self.duplicates.groups
        ]
        return {"compared": self.duplicates.compared, "groups": groups}

    def to_text(self) -> str:
        """Return the report as text."""
        rows: list[tuple[str, ...]] = [
            ("part", "images", "classes", "fewest of a class", "median", "most", "most / fewest")
        ]
        broken = Counter(each.member.part for each in self.unreadable)
        for part in self.parts:
            balance = "" if part.balance is None else f"{part.balance:.1f}"
            numbers = (part.images, len(self.classes) - len(part.missing), min(part.per_class))
            middle = f"{median(part.per_class):,g}"
            rows.append((part.name, *(f"{n:,}" for n in numbers), middle, f"{max(part.per_class):,}", balance))
        if broken:
            unreadable = ["of which can't be read", *(f"{broken[part.name]:,}" for part in self.parts)]
            rows = [(*row[:2], count, *row[2:]) for row, count in zip(rows, unreadable, strict=True)]
        table = columns(rows, right=range(1, 8), indent=2)
        facts = [*self._facts()]
        below = columns([(f"{name}:", text) for name, text in facts], indent=2)
        found = "".join(f"\n  {printable(each)}" for each in self.findings)
        notes = "".join(f"\n{printable(note)}" for note in self.notes if NOT_READ not in note)
        ends = f"\n\nfindings:{found}" if found else "\n\nfindings: none"
        reasons = "".join(f"\n  {printable(each)}" for each in self._unreadable())
        skipped = " and are skipped" if self.skips else ""
        reasons = reasons and f"\n\nimages that can't be read{skipped}:{reasons}"
        text = f"{printable(self.data)}\n\n{table}\n\n{below}{notes and chr(10)}{notes}{reasons}{ends}"
        return with_near_paths(text)

    def _unreadable(self) -> Iterator[str]:
        yield from (each.reason for each in self.unreadable[:MOST_UNREADABLE])
        if len(self.unreadable) > MOST_UNREADABLE:
            yield f"and {len(self.unreadable) - MOST_UNREADABLE:,} more"

    def _facts(self) -> Iterator[tuple[str, str]]:
        first = self.parts[0] if self.parts[0].images else self.parts[1]
        few = [f"`{self.classes[label]}` {first.per_class[label]:,}" for label in first.smallest[:FEW]]
        yield f"smallest {first.name} classes", ", ".join(few)
        pixels = self.pixels
        if self.duplicates is None:
            yield "images looked at", "none, since the dataset loads them with code of its own"
        elif pixels.looked_at < pixels.of:
            yield (
                "images looked at",
                f"{pixels.looked_at:,} of {pixels.of:,}, chosen at random, until the time was over",
            )
        if (sizes := pixels.sizes) is not None:
            smallest, largest, frequent = (
                f"{width} × {height}" for width, height in (sizes.smallest, sizes.largest, sizes.most_frequent)
            )
            often = "" if smallest == largest else f" to {largest}, most often {frequent} ({sizes.images:,})"
            yield "width × height", f"{smallest}{often}"
            yield f"shorter side below {self.size}", f"{sizes.smaller:,} of {pixels.looked_at:,}"
        if pixels.kinds:
            yield "channels", ", ".join(f"{kind} {count:,}" for kind, count in pixels.kinds.items())
        look = pixels.appearance
        on = "ignored" if look.background == IGNORED else f"on {look.background}"
        for name, count in (
            (f"with transparency, {on}", pixels.transparent),
            (f"with an EXIF orientation, {'ignored' if look.orientation == STORED else 'turned'}", pixels.turned),
            ("with more than 8 bits", pixels.deep),
        ):
            if count:
                yield name, f"{count:,}"
        if self.duplicates is not None:
            groups, compared = self.duplicates.groups, self.duplicates.compared
            cut = "" if compared == pixels.of else f"; {compared:,} of {pixels.of:,} compared, since the time was over"
            yield "images that occur twice or more", f"{len(groups):,}{cut}"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the report as text."""
        return notebook.preformatted(self.to_text())

    def __repr__(self) -> str:
        counts = ", ".join(f"{part.images} {part.name}" for part in self.parts)
        return f"DataReport({self.data}: {counts}; {plural(len(self.findings), 'finding')})"


def _member(member: Member) -> dict[str, str]:
    return {"image": member.image, "part": member.part, "class": member.label}
