"""freeze to "ADDRESS": keep the first layers of a pretrained model, and train the others.

Yosinski et al. 2014 ("How transferable are features in deep neural networks?") measure how many layers to keep.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, address, fail, trick
from recipe.tricks._frozen import without_weights

if TYPE_CHECKING:
    from recipe.api import Net, PlanView


@trick("freeze to", position=140, writes=("frozen",), known_as=("freeze-layers", "freeze-until", "freeze-at"))
class To(Trick):
    """Freeze all layers up to and including a module, in the order in which they run.

    The module is named by its address in the model, such as ``"layer3"`` or ``"blocks.5"``. As with ``freeze body``,
    the frozen part is in evaluation mode: it normalizes by its running statistics and drops nothing out. What is frozen
    for the entire training asks for no gradients.
    """

    layer: str = address(help="address of the last module that is frozen")

    def check(self, plan: PlanView) -> Iterable[str]:
        return without_weights(plan)

    def frozen(self, net: Net, progress: Progress) -> Iterable[str]:
        from recipe.api import up_to

        try:
            part = up_to(net, self.layer)
        except KeyError as error:
            raise fail("E101", f"`freeze to` can't freeze the model: {error.args[0]}") from None
        addresses = tuple(f"{name}." for name in part)
        if all(f"{name}.".startswith(addresses) for name in net.parameter_names):
            help = "name an earlier module; `freeze body` freezes all but the last layer"
            raise fail("E101", f"`freeze to` leaves nothing to train: no layer runs after `{self.layer}`", help=help)
        return part
