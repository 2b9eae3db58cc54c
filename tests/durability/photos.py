"""A folder of images of which some can't be decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

BROKEN = ("train/cat/1.jpg", "train/cat/4.jpg", "train/dog/0.jpg", "val/dog/1.jpg")


def with_broken_images(root: Path) -> Path:
    """Twelve images of two classes to train on, of which three are broken, and four held out, one broken."""
    for part, count in (("train", 6), ("val", 2)):
        for label, name in enumerate(("cat", "dog")):
            for number in range(count):
                path = root / part / name / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng([label, number]).integers(0, 256, (40, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
    for broken in BROKEN:
        (root / broken).write_bytes((root / broken).read_bytes()[:300])
    return root
