"""Decoding, compared with a full decode by Pillow: differences, supported files and rejected files."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from sklearn.datasets import load_sample_image

from recipe.base.errors import RecipeError
from recipe.data.decode import _draft, centre, decode, fitted
from recipe.tricks.augment_crop import random_boxes
from tests.data.writers import png

SIZE = 64


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(load_sample_image("flower.jpg")).resize((width, height)).convert(mode)


def reference(path: Path, size: int, box=None) -> np.ndarray:
    """Decode the whole image and resize it, with Pillow alone."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    top, left, height, width = (box or centre)(rgb.height, rgb.width)
    edges = (left, top, left + width, top + height)
    return np.array(rgb.resize((size, size), Image.Resampling.BILINEAR, box=edges))


def crop(seed: int) -> Callable[[int, int], np.ndarray]:
    uniform = np.random.default_rng(seed).random((1, 22))
    return lambda height, width: random_boxes(uniform, np.array([1.0 * height]), np.array([1.0 * width]), 0.08, 4 / 3)[
        0
    ]


def deviations(path: Path, size: int, box=None) -> tuple[float, float]:
    """Return the mean absolute difference from the reference, on a scale of 255, and the PSNR in dB."""
    difference = decode(path, size, box).astype(float) - reference(path, size, box)
    return np.abs(difference).mean(), 10 * np.log10(255**2 / max(1e-9, np.square(difference).mean()))


def inner_difference(path: Path, size: int, box) -> int:
    """Return the largest difference from the reference inside the borders, where Pillow blends in outer pixels."""
    inner = (slice(2, -2), slice(2, -2))
    return np.abs(decode(path, size, box)[inner].astype(int) - reference(path, size, box)[inner]).max()


def refusal(path: Path) -> str:
    with pytest.raises(RecipeError) as error:
        decode(path, SIZE, None)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E070"
    return diagnostic.message


@pytest.fixture
def jpeg(tmp_path: Path) -> Path:
    photo(500, 375).save(tmp_path / "photo.jpg", quality=90)
    return tmp_path / "photo.jpg"


def test_an_image_that_is_not_scaled_down_matches_pillow(jpeg: Path) -> None:
    assert np.array_equal(decode(jpeg, 224, None), reference(jpeg, 224))


@pytest.mark.parametrize("seed", range(8))
def test_crops_of_whole_pixels_differ_only_at_their_borders(jpeg: Path, seed: int) -> None:
    mean, ratio = deviations(jpeg, 224, crop(seed))
    assert mean < 0.3
    assert ratio > 45
    assert inner_difference(jpeg, 224, crop(seed)) <= 1


@pytest.mark.parametrize("box", [None, *map(crop, range(8))])
@pytest.mark.parametrize("size", [64, 128, 224])
def test_images_that_are_scaled_down_are_close(tmp_path: Path, size: int, box) -> None:
    photo(1600, 1200).save(tmp_path / "photo.jpg", quality=90)
    mean, ratio = deviations(tmp_path / "photo.jpg", size, box)
    assert mean < 2.5
    assert ratio > 35


@pytest.mark.parametrize(("width", "height"), [(903, 1301), (512, 512), (515, 517), (130, 90), (40, 700)])
@pytest.mark.parametrize("size", [32, 64, 200])
def test_a_box_keeps_enough_pixels(tmp_path: Path, width: int, height: int, size: int) -> None:
    photo(width, height).save(tmp_path / "photo.jpg")
    for box in (centre, *map(crop, range(20))):
        with Image.open(tmp_path / "photo.jpg") as image:
            whole = np.array(box(image.height, image.width), float)
            scale = _draft(image, whole, size)
            image.load()
        part = whole / scale
        assert scale in (1, 2, 4, 8)
        assert scale == 1 or part[2:].min() >= size
        assert scale == 8 or part[2:].min() < 2 * size
        assert image.size == (-(-width // scale), -(-height // scale))
        assert part[0] + part[2] <= image.height
        assert part[1] + part[3] <= image.width


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_all_kinds_of_jpeg(tmp_path: Path, mode: str, options: dict) -> None:
    photo(150, 110, mode).save(tmp_path / "photo.jpg", **options)
    assert np.array_equal(decode(tmp_path / "photo.jpg", SIZE, None), reference(tmp_path / "photo.jpg", SIZE))


def test_a_jpeg_in_rgb(tmp_path: Path) -> None:
    photo(150, 110).save(tmp_path / "photo.jpg", keep_rgb=True)
    assert np.array_equal(decode(tmp_path / "photo.jpg", SIZE, None), reference(tmp_path / "photo.jpg", SIZE))


FORMATS = [
    *(("png", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    *((ending, "RGB") for ending in ("bmp", "ppm", "tiff", "webp")),
    *(("tiff", mode) for mode in ("CMYK", "LAB")),
    ("gif", "P"),
]


@pytest.mark.parametrize(("ending", "mode"), FORMATS)
def test_other_formats(tmp_path: Path, ending: str, mode: str) -> None:
    path = tmp_path / f"photo.{ending}"
    (photo(150, 110, mode) if mode != "LAB" else Image.new("LAB", (150, 110), (90, 140, 100))).save(path)
    for box in (None, lambda height, width: (0.5, 0.25, 40.5, 30)):
        assert np.array_equal(decode(path, SIZE, box), reference(path, SIZE, box))
    assert inner_difference(path, SIZE, crop(1)) <= 1


def test_gray_of_16_bits_keeps_its_shades(tmp_path: Path) -> None:
    shades = (np.arange(256, dtype=np.uint16) * 257)[None, :].repeat(256, 0)
    for ending in ("png", "tiff"):
        path = tmp_path / f"deep.{ending}"
        Image.fromarray(shades).save(path)
        pixels = decode(path, 256, lambda height, width: (0, 0, height, width))
        assert pixels.tolist() == np.arange(256)[None, :, None].repeat(256, 0).repeat(3, 2).tolist()


def test_the_name_of_a_file_does_not_matter(jpeg: Path) -> None:
    renamed = jpeg.rename(jpeg.with_suffix(".png"))
    assert np.array_equal(decode(renamed, SIZE, None), decode(renamed.rename(jpeg), SIZE, None))


@pytest.mark.parametrize("left", [0.001, 0.02, 0.5, 0.99, 0.999])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
@pytest.mark.parametrize("width", [150, 1600])
def test_a_truncated_jpeg_is_rejected(tmp_path: Path, mode: str, options: dict, width: int, left: float) -> None:
    path = tmp_path / "cut.jpg"
    photo(width, width, mode).save(path, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole))])
    assert refusal(path).startswith(f"the image `{path}` can't be decoded: ")


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "tiff", "webp"])
def test_truncated_files_of_other_formats_are_rejected(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"cut.{ending}"
    photo(150, 110).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert str(path) in refusal(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0" + bytes(1000)])
def test_a_file_that_is_not_an_image_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    assert str(path) in refusal(path)


@pytest.mark.parametrize(
    "raised",
    [KeyError(259), struct.error("unpack"), ZeroDivisionError("0"), RecursionError("deep"), MemoryError(), OSError(-2)],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_decoder_raises_names_the_file(
    jpeg: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    for step in ("_open", "load"):
        with monkeypatch.context() as patched:
            patched.setattr(JpegImageFile, step, mock.Mock(side_effect=raised))
            why = refusal(jpeg).removeprefix(f"the image `{jpeg}` can't be decoded: ")
        assert why
        assert why.startswith((type(raised).__name__, "there is too little memory", "its content is damaged"))


def test_a_color_of_lab_is_as_computed(tmp_path: Path) -> None:
    lightness, a, b = 60.0, 30.0, -40.0
    Image.new("LAB", (90, 90), (round(lightness * 255 / 100), int(a) + 128, int(b) + 128)).save(tmp_path / "lab.tiff")
    y = (lightness + 16) / 116
    xyz = np.array([0.9642, 1, 0.8249]) * np.array([y + a / 500, y, y - b / 200]) ** 3  # the white of D50
    to_linear = np.array([[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]])
    linear = to_linear @ xyz
    expected = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(decode(tmp_path / "lab.tiff", SIZE, None)[5, 5] - expected).max() < 3


def test_a_path_that_cannot_be_opened_is_rejected(tmp_path: Path) -> None:
    assert str(tmp_path / "gone.jpg") in refusal(tmp_path / "gone.jpg")
    assert str(tmp_path) in refusal(tmp_path)


def test_extra_bytes_are_ignored(jpeg: Path) -> None:
    expected = decode(jpeg, SIZE, None)
    whole = jpeg.read_bytes()
    jpeg.write_bytes(whole[:-2] + bytes(100) + whole[-2:] + b"and more")
    assert np.array_equal(decode(jpeg, SIZE, None), expected)


def test_an_error_in_the_box_is_not_an_error_of_the_file(jpeg: Path) -> None:
    def box(height: int, width: int) -> tuple[float, ...]:
        raise ValueError("no box today")

    with pytest.raises(ValueError, match="no box today"):
        decode(jpeg, SIZE, box)


def test_a_huge_image_is_decoded_at_an_eighth(tmp_path: Path) -> None:
    photo(8000, 6000).save(tmp_path / "huge.jpg")
    with Image.open(tmp_path / "huge.jpg") as image:
        assert _draft(image, centre(6000, 8000), 224) == 8
        assert image.size == (1000, 750)
    assert decode(tmp_path / "huge.jpg", 224, None).shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"<!DOCTYPE html>\n<html>", "HTML"),
        (bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_content_in_a_format_that_is_not_read_is_named(tmp_path: Path, head: bytes, name: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(head + bytes(300))
    said = f"E070.*photo.jpg` can't be decoded: its content is {name}, which is not read: convert it to JPEG or PNG"
    with pytest.raises(RecipeError, match=said):
        decode(path, SIZE, None)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_an_image_of_too_many_pixels_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    path = tmp_path / f"bomb.{ending}"
    photo(100, 100).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)  # Pillow refuses twice that number
    assert decode(path, SIZE, None).shape == (SIZE, SIZE, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000)
    said = f"`{path}` can't be decoded: it has 10,000 pixels, more than the 8,000 that are decoded"
    assert said in refusal(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode(path, SIZE, None).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("box", [(-1, 0, 50, 50), (0, 0, 500, 50), (0, 300, 50, 250), (0, 0, 9999, 9999)])
def test_a_box_outside_the_image_is_an_error_of_the_caller(jpeg: Path, box: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"[Bb]ox"):
        decode(jpeg, SIZE, lambda height, width: box)


def test_the_function_can_be_sent_to_workers() -> None:
    assert pickle.loads(pickle.dumps(decode)) is decode


def test_damaged_pixels_of_a_png_file_are_refused(tmp_path: Path) -> None:
    """Pillow doesn't compare the checksum of what it decodes."""
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = bytearray(png(values, 2))
    data[len(data) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert refusal(tmp_path / "a.png").endswith("its pixels are damaged: their checksum is wrong")
    (tmp_path / "a.png").write_bytes(data[:-40])
    assert "truncated" in refusal(tmp_path / "a.png")


def test_the_checksum_of_a_png_file_that_others_opened_is_verified(tmp_path: Path) -> None:
    data = bytearray(png(np.full((64, 64, 3), 9, np.uint8), 2))
    data[-14] ^= 1  # of its checksum
    (tmp_path / "a.png").write_bytes(data)
    box = (0, 0, 8, 8)
    with Image.open(tmp_path / "a.png") as image, pytest.raises(RecipeError, match=r"image 0.*checksum is wrong"):
        fitted(image, 8, lambda height, width: box, "image 0")
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert fitted(image, 8, lambda height, width: box, "image 0").max() == 9
