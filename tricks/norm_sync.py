"""norm sync: compute batch normalization statistics over all processes, not over each one's share of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, trick


@trick("norm sync", position=190, writes=("run",), known_as=("sync-bn", "sync-batchnorm", "synchronized-batchnorm"))
class Sync(Trick):
    """Normalize by the statistics of the whole batch across processes, which helps if each process has few images.

    With `batch … micro`, the statistics cover one micro-batch from every process. Has no effect in a single process.
    """

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"synchronised": True}
