"""Plain PyTorch: source that builds the stock model, makes the same edits to its modules, and loads the weights."""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipe.base.errors import fail
from recipe.base.wording import reason_of
from recipe.exporters.codegen import WIDTH, Codegen
from recipe.exporters.source_run import SourceRun
from recipe.runs.checkpoints import packed

CENTRE = '''\
def preprocess(image: Image.Image) -> Tensor:
    """An image as an input (1, 3, SIZE, SIZE): its centre, 224/256 of the short side, resized and normalised."""
    if image.mode.startswith("I"):  # 16 bits a pixel
        image = image.point(lambda value: value / 256, "L")
    side = min(image.size) * 224 / 256
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    image = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
    return F.normalize(F.pil_to_tensor(image)[None].float() / 255, MEAN, STD)
'''

WHOLE = '''\
def preprocess(image: Image.Image) -> Tensor:
    """An image as an input (1, 3, SIZE, SIZE): all of it, resized and normalised."""
    pixels = F.pil_to_tensor(image.convert("RGB"))[None].float()
    pixels = F.resize(pixels, [SIZE, SIZE], antialias=True).round().clamp(0, 255)
    return F.normalize(pixels / 255, MEAN, STD)
'''

LOAD = '''\
def load(path: str | Path = WEIGHTS) -> nn.Module:
    """The trained network in evaluation mode, on the CPU."""
    model = build()
    model.load_state_dict(load_file(path))
    return model.eval()
'''

NUMBER = """\
if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} IMAGE")
    try:
        inputs = preprocess(Image.open(sys.argv[1]))
    except OSError as error:
        sys.exit(f"{sys.argv[1]} can't be read: {error}")
    with torch.inference_mode():
        print(int(load()(inputs).argmax()))
"""

NAME = """\
if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} IMAGE")
    with safe_open(WEIGHTS, framework="pt") as weights:
        names = json.loads(weights.metadata()["class_names"])
    try:
        inputs = preprocess(Image.open(sys.argv[1]))
    except OSError as error:
        sys.exit(f"{sys.argv[1]} can't be read: {error}")
    with torch.inference_mode():
        print(names[int(load()(inputs).argmax())])
"""


def make(run: SourceRun) -> tuple[tuple[bytes, bytes], Tensor]:
    """The source and its weights, and the logits of the network that they make."""
    surgery = Codegen.of(run.program)
    weights = {surgery.place(name): tensor for name, tensor in run.model.state_dict().items()}
    contents = source(run, surgery).encode(), packed(weights, run.metadata)
    return contents, _logits(run, *contents)


def source(run: SourceRun, surgery: Codegen) -> str:
    """The text of the module."""
    uniform, named = run.sets.val.uniform, bool(run.names)
    parts = [
        "\n".join([_docstring(run, uniform), "", *_imports(surgery.imports, named), "", *_constants(run), ""]),
        "\n".join([*_build(run.program.classes, surgery), ""]),
        LOAD,
        WHOLE if uniform else CENTRE,
        NAME if named else NUMBER,
    ]
    return "\n\n".join(parts)


def _build(classes: int, surgery: Codegen) -> list[str]:
    head = [
        "def build() -> nn.Module:",
        f'    """The network with fresh weights: inputs (N, 3, SIZE, SIZE) to logits (N, {classes})."""',
    ]
    if not surgery.lines:
        return [*head, surgery.built.laid_out(4, "return ")]
    return [*head, surgery.built.laid_out(4, "model = "), *surgery.lines, "", "    return model"]


def _docstring(run: SourceRun, uniform: bool) -> str:
    plan = run.program.plan
    tweaks = [step.word for step in run.program.layer_steps if step.changed]
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (run.sets.mean, run.sets.std))
    seen = "The whole image is" if uniform else "The centre of the image, 224/256 of its short side, is"
    lines = [
        " + ".join([run.base, *tweaks]) + f", trained by this recipe (plan {plan.digest}):",
        "",
        *(f"    {line}" for line in plan.canonical().splitlines()),
        "",
        f"{seen} resized to {run.size} × {run.size} pixels (bilinear). Its RGB channels, in 0..1, are",
        f"normalised by mean ({mean}) and std ({std}).",
    ]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    long = any(len(line) > WIDTH for line in text.splitlines())
    return f'"""{text}\n"""' + "  # noqa: E501" * long


def _imports(needed: set[tuple[str, str]], named: bool) -> list[str]:
    """The import statements: the standard library's, a blank line, the others', each in order."""
    standard = {("pathlib", "Path")} | {pair for pair in needed if pair[0] == "collections"}
    others = (needed - standard) | {
        ("PIL", "Image"),
        ("safetensors.torch", "load_file"),
        ("torch", "Tensor"),
        ("torch", "nn"),
        ("torchvision.transforms.v2", "functional as F"),
    }
    others |= {("safetensors", "safe_open")} if named else set()
    return [
        *["import json"] * named,
        "import sys",
        *_from(standard),
        "",
        "import torch",
        *_from(others),
    ]


def _from(pairs: set[tuple[str, str]]) -> list[str]:
    modules = sorted({module for module, _ in pairs}, key=str.lower)
    return [f"from {module} import {', '.join(sorted(n for m, n in pairs if m == module))}" for module in modules]


def _constants(run: SourceRun) -> list[str]:
    return [
        'WEIGHTS = Path(__file__).with_suffix(".weights.safetensors")',
        f"SIZE = {run.size}  # height and width of an input, in pixels",
        f"MEAN = {run.sets.mean!r}",
        f"STD = {run.sets.std!r}",
    ]


def _logits(run: SourceRun, script: bytes, weights: bytes) -> Tensor:
    """What the network gives that the source builds and loads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        path.write_bytes(script)
        path.with_suffix(".weights.safetensors").write_bytes(weights)
        try:
            names: dict[str, Any] = runpy.run_path(str(path))
            with torch.inference_mode():
                return names["load"]()(run.images)  # type: ignore[no-any-return]
        except Exception as error:  # a model's own code raises anything when its modules are others
            reason = reason_of(error)
            help = "`--to onnx` and `--to safetensors` take any graph"
            raise fail(
                "E121", f"the edits of `{run.base}` can't be told as plain PyTorch: {reason}", help=help
            ) from error
