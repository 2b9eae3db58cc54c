"""norm sync: statistics of batch normalisation over all processes, not over each one's share of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, trick


@trick("norm sync", position=190, writes=("run",))
class Sync(Trick):
    """Normalise by the statistics of the whole batch, wherever its parts are; for small shares of a batch.

    With `batch … micro`, by those of a part on every process. In a single process it changes nothing.
    """

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"synchronised": True}
