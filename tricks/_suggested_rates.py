"""The learning rates that fit a batch, for each kind of optimizer."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from recipe.api import PlanView


@attrs.frozen
class Rate:
    """The learning rates of a kind of optimizer, and how they grow with the batch."""

    scratch: float
    """For a batch of 64, from initial weights."""
    pretrained: float
    """For a batch of 64, from pretrained weights."""
    power: float
    """The power of the batch with which they grow."""
    largest: tuple[int, int]
    """The largest batch with which they grow, without and with a warmup."""

    def of(self, batch: int, pretrained: bool, warm: bool) -> float:
        """Return the rate for a batch."""
        rate = self.pretrained if pretrained else self.scratch
        return float(f"{rate * (min(batch, self.largest[warm]) / 64) ** self.power:.2g}")


SGD = Rate(0.025, 0.005, 1, (512, 8192))
"""Goyal et al. 2017 (figure 1): linear scaling from 0.1 for 256 images holds up to 8,192 with a warmup. The rest is a
judgment."""

ADAMW = Rate(1e-3, 2e-4, 0.5, (128, 1024))
"""Malladi et al. 2022: rates of Adam grow with the square root of the batch. The rest is a judgment."""

KINDS = {"sgd": SGD, "nag": SGD, "adamw": ADAMW}
"""The optimizers with suggested rates."""


def bounded(plan: PlanView) -> Iterator[str]:
    """Yield a warning if the learning rate is suggested for a smaller batch than that of the plan."""
    lr, optimizer = plan.use("lr"), plan.use("optimizer")
    if lr is None or "rate" not in lr.origins or lr.origins["rate"].kind != "suggestion":
        return
    kind = ADAMW if optimizer is not None and optimizer.word == "optimizer adamw" else SGD
    pretrained, warm = plan.base.values.get("weights") is not None, plan.find("lr warmup") is not None
    most = kind.largest[warm]
    if plan.training.batch > most and lr.values["rate"] == kind.of(most, pretrained, warm):
        cold = "" if warm else " if there is no `lr warmup`"
        yield f"the suggested learning rate is that of a batch of {most:,}, the largest one that it grows with{cold}"
