"""Images are turned by their EXIF orientation, and shown on a background where they are transparent."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from recipe.api import Trick, choice, integer, trick
from recipe.data.appearance import AS_STORED, BACKGROUNDS, SHADES, VIEWED, Appearance
from recipe.data.decode import decode, fitted, formats, whole
from recipe.data.images import Files
from recipe.inference.datasets import open_sets, preprocessing_of
from recipe.plan.bind import resolve
from tests.data.odd_images import draw
from tests.data.writers import chunk, png, tiff

PLACES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
"""Where the first row and the first column of stored pixels are in the upright image (EXIF 2.3, section 4.6.4)."""

VALUES = np.random.default_rng(0).integers(0, 256, (10, 30, 3), dtype=np.uint8)


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    rows, columns = PLACES[orientation]
    if rows in ("left", "right"):
        stored, rows, columns = stored.swapaxes(0, 1), columns, rows
    stored = stored[::-1] if rows == "bottom" else stored
    return stored[:, ::-1] if columns == "right" else stored


def oriented(orientation: object) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


def off(pixels: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(pixels.astype(float) - expected).max()) if pixels.shape == expected.shape else 256.0


# ---- orientations


@pytest.mark.parametrize("ending", ["png", "webp", "tiff", "avif"])
@pytest.mark.parametrize("orientation", PLACES)
def test_images_of_all_formats_are_turned(tmp_path: Path, ending: str, orientation: int) -> None:
    if ending.upper() not in {*formats(), "TIFF"}:
        pytest.skip("this Pillow doesn't read the format")
    path = tmp_path / f"a.{ending}"
    options = {"webp": {"lossless": True}, "avif": {"quality": 100, "subsampling": "4:4:4"}}.get(ending, {})
    Image.fromarray(VALUES).save(path, exif=oriented(orientation), **options)
    near = 4 if ending == "avif" else 0
    assert off(whole(path, "a"), upright(VALUES, orientation)) <= near
    stored = VALUES if ending != "tiff" else upright(VALUES, orientation)  # Pillow turns it itself
    assert off(whole(path, "a", AS_STORED), stored) <= near


@pytest.mark.parametrize("size", [(800, 600), (803, 601)])
@pytest.mark.parametrize("orientation", PLACES)
@pytest.mark.parametrize("side", [32, 64, 200])
def test_a_jpeg_is_turned_when_it_is_decoded_at_a_fraction_of_its_size(
    tmp_path: Path, size: tuple[int, int], orientation: int, side: int
) -> None:
    """Against an upright file of the same pixels, whose blocks are elsewhere if its sides aren't multiples of 8."""
    photo = np.asarray(Image.fromarray(load_sample_image("flower.jpg")).resize(size))
    Image.fromarray(photo).save(tmp_path / "a.jpg", quality=95, exif=oriented(orientation))
    turned = np.ascontiguousarray(upright(photo, orientation))
    Image.fromarray(turned).save(tmp_path / "b.jpg", quality=95)
    seen = []
    boxes = (None, lambda height, width: seen.append((height, width)) or (11, 42, 400, 410))
    for box in boxes:
        one, other = (decode(tmp_path / name, side, box).astype(float) for name in ("a.jpg", "b.jpg"))
        assert np.abs(one - other).mean() < (1 if size[0] % 8 == 0 else 2.5)
    assert seen == [turned.shape[:2]] * 2


def test_the_edge_of_a_fraction_is_where_it_was(tmp_path: Path) -> None:
    """Of 65 columns, 9 remain at an eighth. The ninth stands for one of them, and is the first one if mirrored."""
    stripes = np.zeros((64, 65, 3), np.uint8)
    stripes[:, :33] = 255
    Image.fromarray(stripes).save(tmp_path / "a.jpg", quality=100, exif=oriented(2))
    Image.fromarray(np.ascontiguousarray(stripes[:, ::-1])).save(tmp_path / "b.jpg", quality=100)
    one, other = (decode(tmp_path / name, 8, lambda height, width: (0, 1, 64, 64)) for name in ("a.jpg", "b.jpg"))
    assert abs(one.mean() - other.mean()) < 3  # a pixel would be 32


@pytest.mark.parametrize(
    ("kind", "count", "value"),
    [(3, 1, 0), (3, 1, 9), (3, 1, 65535), (2, 2, ord("6")), (11, 1, 0x40C00000), (99, 1, 6)],
)
def test_unknown_orientations_are_ignored(tmp_path: Path, kind: int, count: int, value: int) -> None:
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x112, kind, count, value, 0)
    Image.fromarray(VALUES).save(tmp_path / "a.png", exif=exif)
    assert off(whole(tmp_path / "a.png", "a"), VALUES) == 0


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x" * 99])
def test_damaged_metadata_is_ignored(tmp_path: Path, exif: bytes) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.webp", lossless=True, exif=exif)
    assert off(whole(tmp_path / "a.webp", "a"), VALUES) == 0


def test_an_orientation_after_the_pixels_of_a_png_file_counts(tmp_path: Path) -> None:
    data = png(VALUES, 2, 8)
    end = len(data) - 12
    (tmp_path / "a.png").write_bytes(data[:end] + chunk(b"eXIf", oriented(6).tobytes()[6:]) + data[end:])
    assert off(whole(tmp_path / "a.png", "a"), upright(VALUES, 6)) == 0


def test_an_image_from_a_caller_is_turned(tmp_path: Path) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.png", exif=oriented(6))
    with Image.open(tmp_path / "a.png") as image:
        pixels = fitted(image, 10, lambda height, width: (0, 0, 10, 10), "image 0")
    assert off(pixels, upright(VALUES, 6)[:10]) == 0


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("orientation", PLACES)
@pytest.mark.parametrize("appearance", [VIEWED, AS_STORED])
def test_a_tiff_is_always_turned(tmp_path: Path, orientation: int, deflate: bool, appearance: Appearance) -> None:
    path = tmp_path / "turned.tif"
    path.write_bytes(tiff(VALUES, 2, deflate=deflate, tags={0x112: (3, [orientation])}))
    seen = []

    def box(height: int, width: int) -> tuple[int, int, int, int]:
        seen.append((height, width))
        return (height - 8, width - 8, 8, 8)

    expected = upright(VALUES, orientation)
    assert off(decode(path, 8, box, appearance=appearance), expected[-8:, -8:]) == 0
    assert seen == [expected.shape[:2]]


# ---- transparency


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB", "L", "1"])
def test_transparent_pixels_are_mixed_with_a_background(tmp_path: Path, background: str, mode: str) -> None:
    opaque, shade = 200, SHADES.get(background)
    pixels = np.full((8, 8, 4), (255, 255, 255, opaque), np.uint8)
    pixels[:4] = (0, 0, 0, 0)
    image, path = Image.fromarray(pixels), tmp_path / ("a.tif" if mode == "PA" else "a.png")
    options = {}
    if mode in ("P", "RGB", "L", "1"):
        opaque = 255
        image = image.convert("RGB" if mode == "P" else mode)
        image = image.quantize(2) if mode == "P" else image
        options["transparency"] = (0, 0, 0) if mode == "RGB" else image.getpixel((0, 0))
    elif mode == "PA":
        opacity = image.getchannel("A")
        image = image.convert("RGB").quantize(2).convert("PA")
        image.putalpha(opacity)
    else:
        image = image.convert(mode)
    image.save(path, **options)
    found = whole(path, "a", Appearance("exif", background))
    above, below = (0, 255) if shade is None else (shade, round((255 * opaque + shade * (255 - opaque)) / 255))
    assert off(found, np.repeat([above, below], 4)[:, None, None] * np.ones((1, 8, 3))) <= 1


def test_a_transparent_shade_of_16_bits_hides_no_other(tmp_path: Path) -> None:
    shades = draw(np.random.default_rng(0), 16, 1)
    shades[0, :4, 0] = (515, 512, 767, 515)
    (tmp_path / "a.png").write_bytes(png(shades, 0, 16, [(b"tRNS", (515).to_bytes(2, "big"))]))
    assert whole(tmp_path / "a.png", "a")[0, :4, 0].tolist() == [255, 2, 2, 255]


def test_a_background_must_be_known() -> None:
    with pytest.raises(ValueError, match="background"):
        Appearance("exif", "pink")


# ---- words


def test_a_recipe_states_how_images_look(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(2):
                Image.fromarray(VALUES).save(folder / f"{number}.png", exif=oriented(6))
    text = f'base resnet18; data folder "{tmp_path}" size=8'
    stated = Appearance("stored", "gray")
    for words, appearance in (("", VIEWED), ("orientation=stored background=gray", stated)):
        plan = resolve(f"{text} {words}")
        sets = open_sets(plan)
        assert isinstance(sets.train, Files)
        assert isinstance(sets.val, Files)
        assert sets.train.appearance == sets.val.appearance == preprocessing_of(plan, sets).appearance == appearance
        path, box = sets.val.paths[0], None
        expected = decode(path, 8, box, neighbors=True, appearance=appearance)
        assert off(sets.val.fetch(np.array([0]), None)[0].permute(1, 2, 0).numpy(), expected) == 0
    assert bool(sets.notes) is True
    assert resolve(text).digest != resolve(f"{text} orientation=stored").digest


@pytest.mark.parametrize("word", ["orientation", "background"])
def test_fields_of_another_trick_must_have_known_values(word: str) -> None:
    with pytest.raises(TypeError, match=f"`{word}` of a trick that opens images takes some of `"):
        trick("data odd", writes=("data",))(
            type(
                "Odd",
                (Trick,),
                {
                    "__doc__": "Odd images.",
                    "__annotations__": {"size": int, "workers": int, word: str},
                    "size": integer(8, "the size"),
                    "workers": integer(0, "the workers"),
                    word: choice("east", "how", of=("east", "west")),
                    "open": lambda self: None,
                },
            )
        )
