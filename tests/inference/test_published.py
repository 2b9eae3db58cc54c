"""Images become the inputs that torchvision's and timm's own transforms make for their published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg
from torch import Tensor
from torchvision.models import get_model_weights
from torchvision.transforms import functional as F

from recipe.data.decode import decode
from recipe.data.images import Files, squashed
from recipe.inference.datasets import open_sets, preprocessing_of
from recipe.inference.trained import normalized
from recipe.runs.provenance import Preprocessing
from tests.helpers import bind

SIDES = [(613, 517), (311, 433), (97, 131)]
"""Heights and widths, of which no crop has edges that are whole pixels."""

TIMM = (
    "resnet18.a1_in1k resnet50.tv_in1k resnet50.a1h_in1k resnetv2_101x1_bit.goog_in21k "
    "vit_tiny_patch16_224.augreg_in21k vit_base_patch16_clip_224.openai deit_small_patch16_224.fb_in1k "
    "efficientnet_b0.ra_in1k efficientnet_b3.ra2_in1k tf_efficientnet_b5.ns_jft_in1k tf_efficientnetv2_s.in21k "
    "convnext_tiny.fb_in22k mobilenetv3_large_100.ra_in1k mobilenetv3_large_100.miil_in21k "
    "mobilevit_s.cvnets_in1k inception_v3.tv_in1k swin_base_patch4_window12_384.ms_in1k "
    "beit_base_patch16_224.in22k_ft_in22k coat_lite_medium_384.in1k maxvit_base_tf_512.in1k test_resnet.r160_in1k"
).split()

TORCHVISION = (
    "alexnet.IMAGENET1K_V1 resnet50.IMAGENET1K_V1 resnet50.IMAGENET1K_V2 efficientnet_b0.IMAGENET1K_V1 "
    "efficientnet_b7.IMAGENET1K_V1 efficientnet_v2_s.IMAGENET1K_V1 inception_v3.IMAGENET1K_V1 swin_t.IMAGENET1K_V1 "
    "vit_b_16.IMAGENET1K_SWAG_E2E_V1 regnet_y_16gf.IMAGENET1K_SWAG_E2E_V1"
).split()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset of smooth images with sharp edges, each as PNG and as JPEG."""
    root = tmp_path_factory.mktemp("photos")
    for part in ("train", "val"):
        for number, (height, width) in enumerate(SIDES):
            (root / part / "a").mkdir(parents=True, exist_ok=True)
            y, x = np.mgrid[:height, :width]
            waves = [np.sin(x / (9 + 5 * channel) + number) + np.cos(y / (7 + channel)) for channel in range(3)]
            shades = np.stack(waves, 2) * 45 + 110 + 40 * ((x // 37 + y // 29) % 2)[..., None]
            image = Image.fromarray(shades.clip(0, 255).astype(np.uint8))
            image.save(root / part / "a" / f"{number}.png")
            image.save(root / part / "a" / f"{number}.jpg", quality=92)
    return root


def of_timm(name: str, image: Image.Image) -> tuple[Tensor, tuple[float, ...] | None]:
    """Return the input that timm makes of an image, and the box in it that it crops, or None for the whole image."""
    found = get_pretrained_cfg(name)
    assert found is not None
    config = resolve_data_config({}, pretrained_cfg=found.to_dict())
    transform: Any = create_transform(**config, is_training=False)
    whole = (config["crop_mode"], config["crop_pct"]) == ("squash", 1.0)
    size = config["input_size"][-1]
    return transform(image), None if whole else box_of(image, size, int(size / config["crop_pct"]))


def of_torchvision(name: str, image: Image.Image) -> tuple[Tensor, tuple[float, ...]]:
    """Return the input that torchvision makes of an image, and the box in it that it crops."""
    model, _, weights = name.partition(".")
    transform: Any = get_model_weights(model)[weights].transforms()
    if model == "inception_v3":  # its model normalizes again, which we state as the inputs' mean and deviation
        transform.mean = transform.std = [0.5] * 3
    return transform(image), box_of(image, transform.crop_size[0], transform.resize_size[0])


def box_of(image: Image.Image, size: int, short: int) -> tuple[float, ...]:
    """Return the box of an image that remains if its short side is resized, and then its center is cropped."""
    width, height = image.size
    tall, wide = (int(short * side / min(image.size)) for side in (height, width))
    top, left = (round((side - size) / 2) for side in (tall, wide))
    return (top * height / tall, left * width / wide, size * height / tall, size * width / wide)


def ours(path: Path, made: Preprocessing, box: tuple[float, ...] | None) -> Tensor:
    """Return the input that an evaluation makes of this box of an image."""
    if box is None:
        pixels = squashed(path, made.size, made.interpolation)
    else:
        decoded = decode(path, made.size, lambda height, width: box, made.interpolation, neighbors=True)
        pixels = torch.from_numpy(decoded).permute(2, 0, 1)[None]
    return normalized(pixels, made)[0]


def stated(name: str, photos: Path) -> tuple[Preprocessing, Files]:
    """Return how a recipe with published weights, by model and name, evaluates images, and its training images."""
    model, _, weights = name.partition(".")
    model = f"timm:{model}" if name in TIMM else model
    plan = bind(f'base {model} weights={weights}; data folder "{photos}"')
    assert plan.image_fields is not None
    sets = open_sets(plan, training=False)
    made = preprocessing_of(plan, sets)
    assert isinstance(sets.val, Files)
    assert isinstance(sets.train, Files)
    assert (sets.val.size, sets.val.crop, sets.val.interpolation) == (made.size, made.crop, made.interpolation)
    assert (sets.mean, sets.std, sets.train.size) == (made.mean, made.std, made.size)
    return made, sets.train


@pytest.mark.parametrize("name", [*TIMM, *TORCHVISION])
def test_evaluation_makes_the_inputs_that_the_weights_were_published_with(name: str, photos: Path) -> None:
    """For the same box, pixels of a PNG are within one of 255 shades. Two in 10,000 may be off by two, since Pillow may
    resize rows before columns for one of a box and the whole image, but not for the other, and rounds after each.

    A JPEG is decoded at a fraction of its size if that is large enough. Its pixels may then be off by eleven shades, at
    sharp edges, and by about one on average.
    """
    made, _ = stated(name, photos)
    for path in sorted((photos / "val" / "a").iterdir()):
        with Image.open(path) as image:
            expected, box = (of_timm if name in TIMM else of_torchvision)(name, image)
        if box is None:
            assert made.crop is None
        else:
            short = min(image.size)
            assert made.crop is not None
            assert abs(made.crop - box[2] / short) < 0.01  # timm rounds the size before the crop down
        off = (ours(path, made, box) - expected) * torch.tensor(made.std).view(3, 1, 1) * 255
        if path.suffix == ".png":
            assert off.abs().max() < 2.01
            assert (off.abs() > 1.01).float().mean() < 2e-4
        else:
            assert abs(off.mean()) < 0.05
            assert off.abs().mean() < 1.3
            assert off.abs().max() < 11.01


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224.augreg_in21k", "resnet50.IMAGENET1K_V2", "swin_t.IMAGENET1K_V1"]
)
def test_training_crops_are_resized_with_the_same_interpolation(name: str, photos: Path) -> None:
    made, images = stated(name, photos)
    box = (13, 21, 151, 207)
    index = next(at for at, path in enumerate(images.paths) if path.name == "1.png")
    pixels = images.fetch(np.array([index]), lambda position, height, width: np.array(box, float))
    with Image.open(images.paths[index]) as image:
        mode = F.InterpolationMode(made.interpolation)
        cropped = F.resized_crop(image, *box, [made.size] * 2, mode)
    assert (pixels[0].int() - F.pil_to_tensor(cropped).int()).abs().max() <= 1
