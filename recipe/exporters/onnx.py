"""ONNX: the network in evaluation mode, from normalized float32 ``images`` (N, 3, H, W) to ``logits`` (N, K)."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipe.base.errors import fail
from recipe.base.wording import reason_of
from recipe.exporters.formats import Format

if TYPE_CHECKING:
    from torch import Tensor

    from recipe.exporters.source_run import SourceRun


def write(run: SourceRun, path: Path) -> Tensor | str:
    """Write the file, and run it with onnxruntime if that is installed."""
    import torch

    try:
        content: bytes = _exported(run).SerializeToString()
    except Exception as error:  # torch's passes may raise anything, and protobuf fails above 2 GiB
        reason = reason_of(error, type(error).__name__)
        help = "try `--to python` or `--to safetensors`"
        raise fail("E121", f"torch can't export `{run.base}` to ONNX: {reason}", help=help) from error
    path.write_bytes(content)
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # only errors
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": run.images.numpy()})
    return torch.from_numpy(logits)


def _exported(run: SourceRun) -> Any:
    """Return the model as protobuf, without torch's stack traces, which contain paths of this machine."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            run.model,
            (run.images[:2],),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.model.metadata_props.clear()
    program.model.metadata_props.update(run.metadata)
    return program.model_proto


FORMAT = Format(
    "ONNX", ".onnx", "The network, for any ONNX runtime.", write, ("onnx", "onnxscript"), "recipe-compiler[onnx]"
)
