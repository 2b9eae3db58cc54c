"""Plain PyTorch: source that builds the stock model, makes the same edits to its modules, and loads the weights.

The source is rendered from the template next to this file.
"""

from __future__ import annotations

import runpy
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
    from recipe.exporters.codegen import Codegen
    from recipe.runs.weights import packed

    surgery = Codegen(run.program)
    weights = {surgery.place(name): tensor for name, tensor in run.model.state_dict().items()}
    path.write_bytes(_source(run, surgery).encode())
    path.with_suffix(".weights.safetensors").write_bytes(packed(weights, run.metadata))
    try:
        return run.logits_of(runpy.run_path(str(path))["load"]())
    except Exception as error:  # a model's own code may raise anything if its modules have changed
        reason = reason_of(error)
        help = "use `--to onnx` or `--to safetensors`, which support any graph"
        message = f"the edits of `{run.base}` can't be exported as plain PyTorch: {reason}"
        raise fail("E121", message, help=help) from error


def _source(run: SourceRun, surgery: Codegen) -> str:
    from jinja2 import StrictUndefined, Template

    from recipe.exporters.codegen import WIDTH, laid_out

    template = Path(__file__).with_name("module.py.jinja").read_text("utf-8")
    standard = {("pathlib", "Path")} | {pair for pair in surgery.imports if pair[0] == "collections"}
    others = (surgery.imports - standard) | {
        ("PIL", "Image"),
        ("safetensors.torch", "load_file"),
        ("torch", "Tensor"),
        ("torch", "nn"),
        ("torchvision.transforms.v2", "functional as F"),
    }
    others |= {("safetensors", "safe_open")} if run.names else set()
    source = Template(template, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined).render(
        run=run,
        plan=run.program.plan,
        title=" + ".join([run.base, *(step.word for step in run.program.layer_steps if step.changed)]),
        surgery=surgery,
        standard=standard,
        others=others,
        laid_out=laid_out,
        printable=printable,
        width=WIDTH,
    )
    return f"{source}\n"


FORMAT = Format("Python", ".py", "Plain PyTorch source, with the weights in a second file.", write)
