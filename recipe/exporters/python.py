"""Plain PyTorch: source that builds the stock model, makes the same edits to its modules, and loads the weights.

The source is rendered from the template next to this file.
"""

from __future__ import annotations

import contextlib
import itertools
import runpy
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.base.errors import fail
from recipe.base.printable import printable
from recipe.base.wording import reason_of
from recipe.exporters.formats import Format

if TYPE_CHECKING:
    from torch import Tensor

    from recipe.exporters.codegen import Codegen
    from recipe.exporters.source_run import SourceRun


def write(run: SourceRun, path: Path) -> Tensor:
    """Write the source and its weights, and load the network from them."""
    _write(run, path)
    with _told(run):
        return run.logits_of(runpy.run_path(str(path))["load"]())


def deploy(run: SourceRun, path: Path) -> tuple[Tensor, Tensor]:
    """Write the source, with a command that labels images, and its weights, and predict the labels of image files."""
    import torch
    from PIL import Image

    _write(run, path, path.name)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.png" for number in range(sum(map(len, run.pixels)))]
        for file, image in zip(files, itertools.chain.from_iterable(run.pixels), strict=True):
            Image.fromarray(image).save(file, compress_level=0)
        with _told(run):
            module = runpy.run_path(str(path))
            ranked = map(dict, module["predict"](files, run.program.classes))
            probabilities = torch.tensor([[of[name] for name in module["labels"]()] for of in ranked])
            return torch.cat([module["read"](file) for file in files]), probabilities


def _write(run: SourceRun, path: Path, command: str = "") -> None:
    """Write the source and its weights. ``command`` is the file's name, if it is to be a command."""
    from recipe.exporters.codegen import Codegen
    from recipe.runs.weights import packed

    surgery = Codegen(run.program)
    weights = {surgery.place(name): tensor for name, tensor in run.model.state_dict().items()}
    path.write_bytes(_source(run, surgery, command).encode())
    path.with_suffix(".weights.safetensors").write_bytes(packed(weights, run.metadata))


@contextlib.contextmanager
def _told(run: SourceRun) -> Iterator[None]:
    """Report source that can't be run as an error (E121)."""
    try:
        yield
    except Exception as error:  # a model's own code may raise anything if its modules have changed
        reason = reason_of(error)
        help = "use `--to onnx` or `--to safetensors`, which support any graph"
        message = f"the edits of `{run.base}` can't be exported as plain PyTorch: {reason}"
        raise fail("E121", message, help=help) from error


def _source(run: SourceRun, surgery: Codegen, command: str = "") -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from recipe.base.channels import LUMA
    from recipe.data.appearance import SHADES
    from recipe.data.formats import FORMATS
    from recipe.data.turning import TURNS
    from recipe.exporters.codegen import WIDTH, laid_out

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    standard = {("pathlib", "Path")} | {pair for pair in surgery.imports if pair[0] == "collections"}
    standard |= {("collections.abc", "Iterable")} if command else set()
    others = (surgery.imports - standard) | {
        ("PIL", "Image"),
        ("safetensors.torch", "load_file"),
        ("torch", "Tensor"),
        ("torch", "nn"),
        ("torchvision.transforms.v2", "functional as F"),
    }
    others |= {("safetensors", "safe_open")} if run.names else set()
    others |= {("safetensors", "SafetensorError")} if command else set()
    source = environment.get_template("module.py.jinja").render(
        run=run,
        plan=run.program.plan,
        title=" + ".join([run.base, *(step.word for step in run.program.layer_steps if step.changed)]),
        surgery=surgery,
        standard=standard,
        others=others,
        laid_out=laid_out,
        printable=printable,
        width=WIDTH,
        command=printable(command),
        formats=FORMATS,
        luma=LUMA,
        shades=SHADES,
        turns=TURNS,
        shown=_shown,
    )
    return source.rstrip("\n") + "\n"


def _shown(values: Sequence[float]) -> str:
    """Return numbers with four digits, in parentheses if they are several."""
    text = ", ".join(f"{value:.4g}" for value in values)
    return text if len(values) == 1 else f"({text})"


FORMAT = Format("Python", ".py", "Plain PyTorch source, with the weights in a second file.", write, deploy=deploy)
