"""The datasets of torchvision for image classification: their splits and how large they are. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

TRAIN_AND_TEST = {"train": {"train": True}, "test": {"train": False}}
BY_SPLIT = {name: {"split": name} for name in ("train", "val", "test")}
WHOLE: Mapping[str, Mapping[str, Any]] = {"train": {}}
"""The usual arguments that choose a split."""


@attrs.frozen(kw_only=True)
class Entry:
    """A dataset of torchvision."""

    splits: Mapping[str, Mapping[str, Any]]
    """The arguments that choose each split, by our names of the parts."""
    images: int
    """The number of training images, about, for suggestions."""
    classes: int | None = None
    """The number of classes, if it is known."""
    side: int | None = None
    """The height and width of images that are held in memory, or None for files of any size."""
    variant: str = ""
    """The argument that chooses a variant."""
    variants: tuple[Any, ...] = ()
    """Its values, the default first."""
    by_hand: bool = False
    """Whether torchvision can't download it."""
    other_trick: str = ""
    """The words of a trick that reads the same files."""


def _of(*parts: str, **others: str) -> Mapping[str, Mapping[str, str]]:
    return {part: BY_SPLIT[part] for part in parts} | {part: {"split": split} for part, split in others.items()}


def _small(images: int, side: int = 28, classes: int = 10, **more: Any) -> Entry:
    return Entry(splits=more.pop("splits", TRAIN_AND_TEST), images=images, side=side, classes=classes, **more)


TABLE: Mapping[str, Entry] = {
    "CIFAR10": _small(50_000, 32, other_trick="data cifar10"),
    "CIFAR100": _small(50_000, 32, 100),
    "CLEVRClassification": Entry(splits=_of("train", "val", "test"), images=70_000),
    "Caltech101": Entry(splits=WHOLE, images=8_677, classes=101),
    "Caltech256": Entry(splits=WHOLE, images=30_607, classes=257),
    "Country211": Entry(splits=_of("train", "test", val="valid"), images=31_650, classes=211),
    "DTD": Entry(
        splits=_of("train", "val", "test"), images=1_880, classes=47, variant="partition", variants=(*range(1, 11),)
    ),
    "EMNIST": Entry(
        splits=TRAIN_AND_TEST,
        images=112_800,
        side=28,
        variant="split",
        variants=("balanced", "byclass", "bymerge", "letters", "digits", "mnist"),
    ),
    "EuroSAT": Entry(splits=WHOLE, images=27_000, classes=10),
    "FER2013": _small(28_709, 48, 7, splits=_of("train", "test"), by_hand=True),
    "FGVCAircraft": Entry(
        splits=_of("train", "val", "test"),
        images=3_334,
        variant="annotation_level",
        variants=("variant", "family", "manufacturer"),
    ),
    "FashionMNIST": _small(60_000, other_trick="data fashion-mnist"),
    "Flowers102": Entry(splits=_of("train", "val", "test"), images=1_020, classes=102),
    "Food101": Entry(splits=_of("train", "test"), images=75_750, classes=101),
    "GTSRB": Entry(splits=_of("train", "test"), images=26_640, classes=43),
    "INaturalist": Entry(
        splits={"train": {"version": "2021_train"}, "val": {"version": "2021_valid"}}, images=2_686_843, classes=10_000
    ),
    "ImageNet": Entry(splits=_of("train", "val"), images=1_281_167, classes=1_000, by_hand=True),
    "Imagenette": Entry(
        splits=_of("train", "val"), images=9_469, classes=10, variant="size", variants=("full", "320px", "160px")
    ),
    "KMNIST": _small(60_000),
    "MNIST": _small(60_000),
    "OxfordIIITPet": Entry(splits=_of("test", train="trainval"), images=3_680, classes=37),
    "Places365": Entry(splits=_of("val", train="train-standard"), images=1_803_460, classes=365),
    "QMNIST": _small(60_000),
    "RenderedSST2": Entry(splits=_of("train", "val", "test"), images=6_920, classes=2),
    "SEMEION": _small(1_593, 16, splits=WHOLE),
    "STL10": _small(5_000, 96, splits=_of("train", "test")),
    "SUN397": Entry(splits=WHOLE, images=108_754, classes=397),
    "SVHN": _small(73_257, 32, splits=_of("train", "test")),
    "StanfordCars": Entry(splits=_of("train", "test"), images=8_144, classes=196, by_hand=True),
    "USPS": _small(7_291, 16),
}
"""The datasets by torchvision's names. What images of a test are for is decided by the recipe."""

_WHY = {
    "it is for detection": "CocoDetection Kitti VOCDetection WIDERFace",
    "it is for segmentation": "Cityscapes SBDataset VOCSegmentation",
    "it is for captions": "CocoCaptions Flickr8k Flickr30k SBU",
    "it has videos": "HMDB51 Kinetics MovingMNIST UCF101",
    "it has pairs of images": "LFWPairs PhotoTour",
    "it is for optical flow": "FlyingChairs FlyingThings3D HD1K KittiFlow Sintel",
    "it is for stereo matching": "CREStereo CarlaStereo ETH3DStereo FallingThingsStereo InStereo2k Kitti2012Stereo "
    "Kitti2015Stereo Middlebury2014Stereo SceneFlowStereo SintelStereo",
    "its images have several labels": "CelebA",
    "its parts have different classes": "LFWPeople Omniglot",
    "its images are in a database that is not read": "LSUN LSUNClass PCAM",
    "it is only a base class": "VisionDataset",
    "write `data folder`": "DatasetFolder ImageFolder",
    "write `data fake`": "FakeData",
}
REFUSED: Mapping[str, str] = {name: why for why, names in _WHY.items() for name in names.split()}
"""Why the other datasets can't be used."""
