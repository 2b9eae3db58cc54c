"""freeze gradual [START] [LEVEL]: stop training earlier layers before later ones.

Brock et al. 2017 (FreezeOut), with the schedule of Composer's layer freezing: once the fraction START of the training
is done, the fraction of frozen layers rises linearly from 0, and reaches LEVEL at the end. The backward pass skips
everything before the first trainable layer, except with several processes or with `compile`. Running statistics of
normalization layers still update.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, number, trick

if TYPE_CHECKING:
    from recipe.api import Net


@trick("freeze gradual", position=140, writes=("frozen",), formerly="freeze", known_as=("freezeout", "layer-freezing"))
class Gradual(Trick):
    """Freeze more and more layers during training, from the first on, to save gradients. The last one never freezes."""

    start: float = number(0.5, "fraction of the training before layers start to freeze", minimum=0, below=1)
    level: float = number(0.9, "fraction of the layers that are frozen at the end", above=0, below=1)

    def frozen(self, net: Net, progress: Progress) -> Iterable[str]:
        return first_layers(net.parameter_names, rising(progress.epoch / progress.epochs, self.start, self.level))


def rising(done: float, start: float, level: float) -> float:
    """Return the fraction of frozen layers when a fraction of the training is done.

    >>> [rising(done, 0.5, 0.8) for done in (0, 0.5, 0.75, 1)]
    [0.0, 0.0, 0.4, 0.8]
    """
    return level * max(0.0, (done - start) / (1 - start))


def first_layers(names: Sequence[str], part: float) -> list[str]:
    """Return the parameters of a fraction, below 1, of the layers: the first modules that own parameters.

    >>> first_layers(["conv.weight", "bn.weight", "bn.bias", "fc.weight", "fc.bias"], 0.7)
    ['conv.weight', 'bn.weight', 'bn.bias']
    """
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    stopped = set(layers[: int(part * len(layers))])
    return [name for name in names if name.rpartition(".")[0] in stopped]
