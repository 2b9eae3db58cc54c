"""ONNX: the network as it evaluates, from ``images`` (N, 3, H, W), float32, normalised, to ``logits`` (N, K)."""

from __future__ import annotations

import contextlib
import io
import warnings
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from recipe.base.errors import fail
from recipe.base.wording import reason_of
from recipe.exporters.source_run import SourceRun

BATCH = "N"
"""The name of the dimension that may have any size."""


def make(run: SourceRun) -> tuple[tuple[bytes], Tensor | None]:
    """The file, and its logits by onnxruntime where that is installed."""
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        help = "`pip install 'recipe-compiler[onnx]'` installs it"
        raise fail("E121", f"an export to ONNX needs the package `{missing[0]}`", help=help)
    try:
        content = _exported(run).SerializeToString()
    except Exception as error:  # torch raises whatever its passes raise; and protobuf, for more than 2 GiB
        reason = reason_of(error, type(error).__name__)
        help = "`--to python` or `--to safetensors` may do"
        raise fail("E121", f"torch can't export `{run.base}` to ONNX: {reason}", help=help) from error
    return (content,), _logits(content, run.images) if find_spec("onnxruntime") else None


def _exported(run: SourceRun) -> Any:
    """The protobuf of the model, without the stack traces that torch notes in it, which tell of this machine."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            run.model,
            (run.images[:2],),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim(BATCH)},),
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.model.metadata_props.clear()
    program.model.metadata_props.update(run.metadata)
    return program.model_proto


def _logits(content: bytes, images: Tensor) -> Tensor:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    return torch.from_numpy(logits)
