"""Other names that people use for the fields of all tricks that open images."""

from __future__ import annotations

OF_IMAGES = {
    "img-size": "size=",
    "image-size": "size=",
    "input-size": "size=",
    "imgsz": "size=",
    "resolution": "size=",
    "train-crop-size": "size=",
    "num-workers": "workers=",
    "loader-workers": "workers=",
}
