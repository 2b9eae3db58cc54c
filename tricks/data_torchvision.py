"""data torchvision NAME: a dataset for image classification that torchvision reads, by the name of its class.

`download=true` downloads missing files. Without it, nothing is downloaded. Small images, such as those of MNIST, are
held in memory, and others are read from their files when they are used, as those of `data folder` are.

The dataset's own splits for training, validation and testing are used. Without a split for validation, 20 % of the
training images are held out. Which ones follows from a hash of their class and name, or their number if they have no
names. `val="test"` evaluates on the test images after each epoch instead.

Test images are evaluated once, at the end of a training. Nothing else looks at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Trick, choice, divided, fail, group_pattern, path, share_or_text, text, trick
from recipe.tricks._files import divided_arrays, divided_sets
from recipe.tricks._image_fields import (
    SPLIT,
    background,
    check_apart,
    check_shares,
    on_error,
    orientation,
    size,
    split_seed,
    stated,
    workers,
)
from recipe.tricks._image_names import OF_IMAGES
from recipe.tricks._suggested import suggested_for, takes_any_size
from recipe.tricks._suggested_rates import bounded
from recipe.tricks._torchvision_table import REFUSED, TABLE, Entry

if TYPE_CHECKING:
    from recipe.api import PlanView, Sets, SuggestContext


@trick(
    "data torchvision",
    position=40,
    writes=("data",),
    known_as={"tv": "", "torch": "", **OF_IMAGES},
    similar_to=("mnist", "cifar100", "stl10", "svhn", "emnist", "kmnist", "flowers102", "food101", "eurosat", "dtd"),
)
class Torchvision(Trick):
    """Train on a dataset of torchvision, and evaluate on the images that are held out.

    Suggests what `data folder` does for the number of images, and their size if they are small.
    """

    dataset: str = choice(help="torchvision's name of the dataset", of=tuple(TABLE), refused=REFUSED)
    root: str | None = path(
        None, "folder of the files, as in torchvision", result=False, unset="`datasets` in torch's cache"
    )
    size: int = size()
    workers: int = workers()
    on_error: str = on_error()
    variant: str | None = text(
        None, 'variant of the dataset, such as "letters" of EMNIST', what="a name", unset="the dataset's usual one"
    )
    val: float | str | None = share_or_text(
        None,
        "part of the training images to hold out, such as `10%`, or the split of the held-out images",
        what=SPLIT,
        unset="the split for validation, or 20 % of the training images",
    )
    test: float | str | None = share_or_text(
        None,
        "part of the training images to use only for a test at the end, or the split of the test images",
        what=SPLIT,
        unset="the split for testing, if there is one",
    )
    group: str | None = text(
        None,
        "what to keep on one side of a split, by the names of files, as in `data folder`",
        what="a pattern of paths",
        check=group_pattern,
    )
    split_seed: int = split_seed()
    orientation: str = orientation(before="exif")
    background: str = background(before="white")
    download_: str = choice("false", "whether to download missing files", of=("false", "true"), result=False)

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        entry, values = TABLE[self.dataset], dict[str, Any]()
        if entry.side is not None and takes_any_size("data torchvision", context):
            values["data torchvision size"] = max(entry.side, 32)
        return {**values, **suggested_for("data torchvision", entry.images, context)}

    def check(self, plan: PlanView) -> Iterable[str]:
        entry = TABLE[self.dataset]
        check_shares(self.val, self.test)
        check_apart(val=self.val, test=self.test)
        for word, split in (("val", self.val), ("test", self.test)):
            if isinstance(split, str) and split not in entry.splits:
                has = ", ".join(f"`{name}`" for name in entry.splits)
                raise fail("E024", f"`{self.dataset}` has no split `{split}` for `{word}=`", help=f"it has {has}")
        if self.variant is not None and self.variant not in map(str, entry.variants):
            has = ", ".join(f"`{name}`" for name in entry.variants) or "none"
            raise fail("E024", f"`{self.dataset}` has no variant `{self.variant}`", help=f"its variants: {has}")
        if entry.side is not None and self.group is not None:
            raise fail("E024", f"`{self.dataset}` has no names of files for `group=`: it is read into memory")
        yield from bounded(plan)
        if entry.side is not None:
            for word in stated(plan, "data torchvision", "workers", "on_error", "orientation", "background"):
                yield f"`{word}=` has no effect: `{self.dataset}` is read into memory"

    def open(self) -> Sets:
        from recipe.tricks._torchvision import default_root, labeled, read

        entry, parts = TABLE[self.dataset], {"val": self.val, "test": self.test}
        shares = {part: value for part, value in parts.items() if isinstance(value, float)}
        splits = _splits(entry, {part: value for part, value in parts.items() if isinstance(value, str)})
        root = self.root or default_root()
        variant = next((one for one in entry.variants if str(one) == self.variant), (*entry.variants, None)[0])
        classes, found, notes = read(self.dataset, splits, variant, root, self.download_ == "true")
        images = labeled(self.dataset, classes, found, splits)
        division = divided(images, shares, self.split_seed, self.group)
        own: dict[str, Any] = {part: each.images for part, each in found.items()}
        sets = divided_sets if entry.side is None else divided_arrays
        return sets(division, images, own, classes, self.size, notes)

    def count_classes(self) -> int | None:
        return TABLE[self.dataset].classes


def _splits(entry: Entry, stated: Mapping[str, str]) -> dict[str, str]:
    """Return the split for each part: the stated ones, and its own if no other part has it."""
    own = {part: part for part in entry.splits if part not in stated and part not in stated.values()}
    return own | dict(stated)
