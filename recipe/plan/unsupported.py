"""What `recipe` can't do, by the words that people use for it."""

from __future__ import annotations

import re

ONE_CLASS = "each image has exactly one class"

UNSUPPORTED = {
    f"multi-label classification is not supported: {ONE_CLASS}": """
        multi-label multi-label-classification multi-target multi-hot labels asl asymmetric-loss
    """,
    "regression is not supported: the targets are classes": """
        regression regressor mse mse-loss mae l1 l1-loss l2 l2-loss huber huber-loss smooth-l1 smooth-l1-loss
    """,
    f"detection and segmentation are not supported: {ONE_CLASS}, and no boxes or masks": """
        detection detect object-detection detector bbox bounding-boxes coco yolo segmentation segment
        semantic-segmentation instance-segmentation mask masks dice dice-loss iou giou keypoints pose
    """,
    "images have three channels, or one for gray images; more channels are not supported": """
        multispectral hyperspectral rgba rgbd
    """,
    "images are square: their height and width can't differ": """
        height width img-height img-width image-height image-width aspect-ratio rectangular
    """,
    f"the only task is classification: {ONE_CLASS}": "task problem-type",
}
"""Sentences, each with the words that they answer."""


def plain(word: str) -> str:
    """Return a name in lower case, without the characters that separate words."""
    return re.sub(r"[\W_]", "", word).lower()


_SENTENCES = {plain(word): sentence for sentence, words in UNSUPPORTED.items() for word in words.split()}


def unsupported(word: str, following: str = "") -> str:
    """Return a sentence about what a word, or two words, ask for and `recipe` can't do, or an empty string.

    >>> unsupported("mse")
    'regression is not supported: the targets are classes'
    """
    names = (word + following, following, word) if plain(word) in ("task", "problemtype") else (word + following, word)
    return next((_SENTENCES[name] for name in map(plain, names) if name in _SENTENCES), "")
