"""ONNX: the network in evaluation mode, from normalized float32 ``images`` (N, 3, H, W) to ``logits`` (N, K).

With ``--deploy``, from uint8 ``pixels`` (N, H, W, 3) of any size to ``probabilities`` (N, K) and the top labels.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipe.base.errors import fail
from recipe.base.wording import reason_of
from recipe.exporters.formats import Format

if TYPE_CHECKING:
    from torch import Tensor

    from recipe.exporters.source_run import SourceRun

ABSENT = "onnxruntime is not installed; `pip install onnxruntime`"


def write(run: SourceRun, path: Path) -> Tensor | str:
    """Write the file, and run it with onnxruntime if that is installed."""
    import torch

    with _told(run):
        content: bytes = _exported(run).SerializeToString()
    path.write_bytes(content)
    if find_spec("onnxruntime") is None:
        return ABSENT
    (logits,) = _session(content).run(["logits"], {"images": run.images.numpy()})
    return torch.from_numpy(logits)


def deploy(run: SourceRun, path: Path) -> tuple[Tensor, Tensor] | str:
    """Write the file with its preprocessing and its labels, and run it with onnxruntime if that is installed."""
    import torch

    from recipe.exporters import onnx_pixels

    with _told(run):
        proto = _exported(run)
        onnx_pixels.deploy(proto, run.preprocessing, run.program.classes, run.names)
        described = onnx_pixels.metadata(run.preprocessing)
        for prop in proto.metadata_props:
            prop.value = described.pop(prop.key, prop.value)
        for key, value in described.items():
            proto.metadata_props.add(key=key, value=value)
        content: bytes = proto.SerializeToString()
    path.write_bytes(content)
    if find_spec("onnxruntime") is None:
        return ABSENT
    preprocessing = onnx_pixels.preprocessing_alone(run.preprocessing, proto).SerializeToString()
    found = []
    for session, output in ((_session(preprocessing), "images"), (_session(content), "probabilities")):
        batches = (session.run([output], {"pixels": pixels})[0] for pixels in run.pixels)
        found.append(torch.cat([torch.from_numpy(batch) for batch in batches]))
    return found[0], found[1]


@contextlib.contextmanager
def _told(run: SourceRun) -> Iterator[None]:
    """Report a model that can't be exported as an error (E121)."""
    try:
        yield
    except Exception as error:  # torch's passes may raise anything, and protobuf fails above 2 GiB
        reason = reason_of(error, type(error).__name__)
        help = "try `--to python` or `--to safetensors`"
        raise fail("E121", f"torch can't export `{run.base}` to ONNX: {reason}", help=help) from error


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # only errors
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


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
    "ONNX",
    ".onnx",
    "The network, for any ONNX runtime.",
    write,
    deploy=deploy,
    needs=("onnx", "onnxscript"),
    install="recipe-compiler[onnx]",
)
