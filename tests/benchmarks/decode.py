"""Compare ways to decode and resize an image file, by speed and by difference in pixels.

Run it on an idle machine, from the root of the repository: python -m tests.benchmarks.decode
The candidates take turns, round by round, on generated photos. Candidates that are not installed are skipped; the extra
`benchmarks` installs them.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib import metadata, util
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from recipe.data.decode import centre, decode
from recipe.data.images import Files
from recipe.inference.batches import load
from recipe.plugins.settings import Training
from recipe.training.loading import Steps
from recipe.tricks.augment_crop import random_boxes

SIZE = 224
BATCH = 16
ROUNDS = 15
SHAPES = {  # width and height, and number of the 40 photos; ImageNet's mean is about 500 × 400
    (500, 375): 16, (375, 500): 6, (500, 333): 5, (333, 500): 2, (640, 480): 3, (480, 360): 2, (400, 300): 2,
    (256, 192): 1, (800, 600): 1, (1024, 768): 1, (2000, 1500): 1,
}  # fmt: skip

Box = Callable[[int, int], np.ndarray]
Candidate = Callable[[Path, Box], np.ndarray]


@cache
def originals() -> tuple[Image.Image, ...]:
    from sklearn.datasets import load_sample_images

    return tuple(Image.fromarray(pixels) for pixels in load_sample_images().images)


def photo(original: Image.Image, width: int, height: int, draws: np.random.Generator) -> np.ndarray:
    """Return a part of a photo, with added grain so that it takes as many bytes per pixel as a real photo."""
    zoom = draws.uniform(0.6, 1) * min(original.width / width, original.height / height)
    left = draws.uniform(0, original.width - zoom * width)
    top = draws.uniform(0, original.height - zoom * height)
    box = (left, top, left + zoom * width, top + zoom * height)
    part = np.array(original.resize((width, height), Image.Resampling.BICUBIC, box=box), np.float64)
    part += draws.normal(0, 4, (height, width, 1)) + draws.normal(0, 2, (height, width, 3))
    return part.clip(0, 255).astype(np.uint8)


def photos(folder: Path) -> list[Path]:
    """Write JPEG files of many sizes, from parts of two photos, and return their paths."""
    draws = np.random.default_rng(0)
    paths = []
    for number, (width, height) in enumerate(shape for shape, count in SHAPES.items() for _ in range(count)):
        pixels = photo(originals()[number % 2], width, height, draws)
        path = folder / f"{number:02}.jpg"
        mode = {7: "L", 11: "CMYK"}.get(number, "RGB")
        quality, progressive = int(draws.integers(75, 96)), number % 20 == 13
        image = Image.fromarray(pixels).convert(mode)
        image.save(path, quality=quality, progressive=progressive, subsampling="4:2:0")
        paths.append(path)
    return paths


def crops(seed: int) -> Iterator[Box]:
    """Yield random crops of 8 to 100 % of the area, as in training."""
    draws = np.random.default_rng(seed)
    while True:
        uniform = draws.random((1, 22))
        yield lambda *shape, uniform=uniform: random_boxes(uniform, *np.array(shape, float)[:, None], 0.08, 4 / 3)[0]


def scale_of(box: np.ndarray) -> int:
    return next((scale for scale in (8, 4, 2) if box[2:].min() >= scale * SIZE), 1)


def by_pillow(image: Image.Image, box: np.ndarray) -> np.ndarray:
    top, left, height, width = box.tolist()
    edges = (left, top, left + width, top + height)
    return np.array(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=edges))


def by_torch(pixels: torch.Tensor, box: np.ndarray) -> np.ndarray:
    """Resize the pixels (H, W, 3) in a box to (SIZE, SIZE, 3), with Pillow if the box has fractions of pixels."""
    if (box % 1).any():
        return by_pillow(Image.fromarray(pixels.numpy()), box)
    top, left, height, width = map(int, box)
    part = pixels[top : top + height, left : left + width].permute(2, 0, 1)[None]
    resized = F.interpolate(part, (SIZE, SIZE), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


def pillow(path: Path, box: Box, scaled: bool = False) -> np.ndarray:
    with Image.open(path) as image:
        area = box(image.height, image.width)
        scale = scale_of(area) if scaled else 1
        image.draft(None, (image.width // scale, image.height // scale))
        return by_pillow(image.convert("RGB"), area / scale)


def turbo(path: Path, box: Box, scaled: bool = False, fast: bool = False, resize: str = "torch") -> np.ndarray:
    import simplejpeg

    data = path.read_bytes()
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError:  # CMYK
        return pillow(path, box)
    area = box(height, width)
    scale = scale_of(area) if scaled else 1
    least = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
    pixels = simplejpeg.decode_jpeg(data, fastdct=fast, fastupsample=fast, **least)
    if resize == "Pillow":
        return by_pillow(Image.fromarray(pixels), area / scale)
    return by_torch(torch.from_numpy(pixels), area / scale)


def codecs(path: Path, box: Box) -> np.ndarray:
    import imagecodecs

    try:
        pixels = imagecodecs.jpeg8_decode(path.read_bytes(), outcolorspace="RGB")
    except imagecodecs.Jpeg8Error:  # CMYK
        return pillow(path, box)
    return by_torch(torch.from_numpy(pixels), box(*pixels.shape[:2]))


def codec(path: Path, box: Box) -> np.ndarray:
    from torchcodec.decoders import decode_jpeg

    pixels = decode_jpeg(path).permute(1, 2, 0)
    return by_torch(pixels, box(*pixels.shape[:2]))


CANDIDATES: dict[str, tuple[str, Candidate]] = {
    "Pillow": ("PIL", pillow),
    "Pillow, scaled": ("PIL", partial(pillow, scaled=True)),
    "**`recipe.data.decode`**: Pillow, scaled; torch": ("PIL", lambda path, box: decode(path, SIZE, box)),
    "simplejpeg; Pillow": ("simplejpeg", partial(turbo, resize="Pillow")),
    "simplejpeg; torch": ("simplejpeg", turbo),
    "simplejpeg, scaled; torch": ("simplejpeg", partial(turbo, scaled=True)),
    "simplejpeg, scaled, fast DCT; torch": ("simplejpeg", partial(turbo, scaled=True, fast=True)),
    "imagecodecs; torch": ("imagecodecs", codecs),
    "torchcodec; torch": ("torchcodec", codec),
}
"""The package that each candidate needs, and the candidate."""


def compare(paths: list[Path], candidates: dict[str, Candidate], boxes: Callable[[int], Iterator[Box]]) -> list[str]:
    """Return one table row per candidate: its time, plus its speed and difference relative to the first."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    errors: dict[str, list[np.ndarray]] = {name: [] for name in candidates}
    for seed in range(-1, ROUNDS):
        pairs = list(zip(paths, boxes(seed + 1), strict=False))
        for name, candidate in candidates.items():
            began = time.perf_counter()
            for path, box in pairs:
                candidate(path, box)
            times[name].append((time.perf_counter() - began) / len(paths) * 1e3)
    for path, box in pairs:
        reference = pillow(path, box).astype(float)
        for name, candidate in candidates.items():
            errors[name].append(candidate(path, box) - reference)
    first = next(iter(times.values()))
    lines = []
    for name, measured in times.items():
        ratios = [a / b for a, b in zip(first[1:], measured[1:], strict=True)]
        noise = [float(np.square(error).mean()) for error in errors[name]]
        mean = statistics.mean(float(np.abs(error).mean()) for error in errors[name])
        lines.append(
            f"| {name} | {statistics.median(measured[1:]):.2f} ms | {statistics.median(ratios):.2f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} | {mean:.2f} | {max(np.abs(e).max() for e in errors[name]):.0f} "
            f"| {decibels(statistics.mean(noise))} | {decibels(max(noise))} |"
        )
    return lines


def decibels(noise: float) -> str:
    return f"{10 * np.log10(255**2 / noise):.1f}" if noise else "∞"


class Alone(Files):
    """Image files, decoded by Pillow alone."""

    def _one(self, index: int, position: int, boxer: Callable | None) -> torch.Tensor:
        box = centre if boxer is None else partial(boxer, position)
        return torch.from_numpy(pillow(self.paths[index], box)).permute(2, 0, 1)


def boxer(draws: object, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    return random_boxes(draws.uniform(22), heights, widths, 0.08, 4 / 3)  # type: ignore[attr-defined]


def loaded(images: Files, workers: int) -> float:
    """Return the images per second of the training loader while all its workers are busy."""
    steps = len(images.labels) // BATCH
    batches = load(Steps(images, Training(batch=BATCH), boxer), range(steps), workers, False)
    moments = [time.perf_counter() for _ in batches]
    lead = 2 * workers  # batches that workers prepare ahead
    return (steps - 2 * lead - 1) * BATCH / (moments[-1 - lead] - moments[lead])


def threaded(images: Files, threads: int) -> float:
    """Return the images per second of the given number of threads."""
    chosen = dict(enumerate(crop for _, crop in zip(images.paths, crops(0), strict=False)))

    def one(position: int) -> torch.Tensor:
        return images._one(position, position, lambda place, *shape: chosen[place](*shape))

    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(one, range(len(chosen))))
        return len(chosen) / (time.perf_counter() - began)


def rates(paths: list[Path]) -> list[str]:
    """Return one table row per way of sharing the work: images per second for Pillow and `decode`, and their ratio."""
    many = tuple(paths) * 16
    both = [kind(many, torch.zeros(len(many), dtype=torch.long), SIZE) for kind in (Alone, Files)]
    ways: dict[str, Callable[[Files], float]] = {
        **{f"{workers} worker{'s' * (workers != 1)}": partial(loaded, workers=workers) for workers in (0, 1, 2)},
        **{f"{threads} thread{'s' * (threads != 1)}": partial(threaded, threads=threads) for threads in (1, 2)},
    }
    rounds = [{name: [way(images) for images in both] for name, way in ways.items()} for _ in range(5)]
    lines = []
    for name in ways:
        before, after = zip(*(measured[name] for measured in rounds), strict=True)
        ratios = [b / a for a, b in zip(before, after, strict=True)]
        lines.append(
            f"| {name} | {statistics.median(before):.0f} | {statistics.median(after):.0f} "
            f"| {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"
        )
    return lines


def section() -> list[str]:
    """Return the measurements as lines of Markdown."""
    candidates = {name: one for name, (package, one) in CANDIDATES.items() if util.find_spec(package)}
    versions = [
        f"{name} {metadata.version(name)}"
        for name in ("pillow", "simplejpeg", "torch", "imagecodecs", "torchcodec")
        if util.find_spec({"pillow": "PIL"}.get(name, name))
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = photos(Path(folder))
            size = statistics.mean(path.stat().st_size for path in paths) / 1000
            crop_lines = compare(paths, candidates, crops)
            centre_lines = compare(paths, candidates, lambda seed: iter([centre] * len(paths)))
            rate_lines = rates(paths)
    finally:
        torch.set_num_threads(threads)
    head = [
        "",
        "| | per image, median | speed, median | lowest to highest | mean difference | largest | PSNR | worst image |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return [
        "## Decoding",
        "",
        f"{len(paths)} JPEG files, {size:.0f} kB on average, from 256 × 192 to 2000 × 1500 pixels, resized to "
        f"{SIZE} × {SIZE} by one thread ({torch.backends.cpu.get_cpu_capability()}). The candidates take turns for "
        f'{ROUNDS} rounds. "Scaled" decodes at 1/2, 1/4 or 1/8 of the size if that leaves the box enough pixels. '
        '"torch" resizes boxes of whole pixels with torch. Speed is relative to Pillow\'s full decode and resize in '
        "the same round. Differences are from Pillow's pixels, on a scale of 255, and PSNR is in dB. "
        f"{', '.join(versions)}; Python {platform.python_version()}.",
        "",
        "Random crops of 8 to 100 % of the area:",
        *head,
        *crop_lines,
        "",
        "Center crops, as in an evaluation:",
        *head,
        *centre_lines,
        "",
        f"Images per second of the training loader, with random crops and batches of {BATCH}, and of threads alone. "
        "Both take turns for 5 rounds.",
        "",
        "| | Pillow | `recipe.data.decode` | speed, median | lowest to highest |",
        "|---|---|---|---|---|",
        *rate_lines,
    ]


def main() -> None:
    print("\n".join(section()))


if __name__ == "__main__":
    main()
