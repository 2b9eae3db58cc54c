"""keep last: keep the weights of the last epoch, as a run does without this statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, trick


@trick("keep last", position=203, writes=("kept",), result=False)
class Last(Trick):
    """Keep the weights of the last epoch. This is the default."""

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"keep_by": None}
