"""safetensors: the state dict of the rewritten model, with metadata for using it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.exporters.formats import Format

if TYPE_CHECKING:
    from torch import Tensor

    from recipe.exporters.source_run import SourceRun


def write(run: SourceRun, path: Path) -> Tensor:
    """Write the file, and load it into a copy of the model."""
    from safetensors.torch import load_file

    from recipe.runs.weights import packed

    path.write_bytes(packed(run.model.state_dict(), run.metadata))
    model = copy.deepcopy(run.model)
    model.load_state_dict(load_file(path))
    return run.logits_of(model)


FORMAT = Format("safetensors", ".safetensors", "Only the weights, under their names in the rewritten model.", write)
