"""freeze [START] [LEVEL]: earlier layers stop training before later ones.

Brock et al. 2017 (FreezeOut), with the schedule of Composer's layer freezing: from START of the training on, the frozen
part of the layers rises linearly from none to LEVEL at the end. What precedes the first layer that trains needs no
backward computation, but where several processes train together or with `compile`. Running statistics of
normalisations go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, number, trick

if TYPE_CHECKING:
    from recipe.api import Net


@trick("freeze", position=140, writes=("frozen",))
class Freeze(Trick):
    """Stop training the first layers in the course of the training, which saves their gradients; never the last one."""

    start: float = number(0.5, "part of the training after which layers freeze", minimum=0, below=1)
    level: float = number(0.9, "part of the layers that is frozen at the end", above=0, below=1)

    def frozen(self, net: Net, progress: Progress) -> Iterable[str]:
        return first_layers(net.parameter_names, rising(progress.epoch / progress.epochs, self.start, self.level))


def rising(done: float, start: float, level: float) -> float:
    """The frozen part of the layers when a part of the training is done.

    >>> [rising(done, 0.5, 0.8) for done in (0, 0.5, 0.75, 1)]
    [0.0, 0.0, 0.4, 0.8]
    """
    return level * max(0.0, (done - start) / (1 - start))


def first_layers(names: Sequence[str], part: float) -> list[str]:
    """The parameters of the first layers, a part below 1 of all; a layer is a module with parameters of its own.

    >>> first_layers(["conv.weight", "bn.weight", "bn.bias", "fc.weight", "fc.bias"], 0.7)
    ['conv.weight', 'bn.weight', 'bn.bias']
    """
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    stopped = set(layers[: int(part * len(layers))])
    return [name for name in names if name.rpartition(".")[0] in stopped]
