"""Values that accumulate on the device and are read occasionally: loss, accuracy, and whether all are finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from recipe.devices.distributed import Ranks


@attrs.define(eq=False)
class Meter:
    """Sums that stay on the device until they are read."""

    loss: Tensor
    correct: Tensor
    top5: Tensor | None = None
    images: int = 0
    before: int = 0
    """How many of these were counted before the run was resumed."""
    fresh: int = 0
    """Images of all processes in the last `read`, without those before the run was resumed."""

    @classmethod
    def on(cls, device: torch.device, top5: bool = False) -> Meter:
        zero = torch.zeros((), device=device, dtype=torch.long)
        return cls(torch.zeros((), device=device, dtype=torch.double), zero, zero.clone() if top5 else None)

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add part of a batch: its mean loss, logits (N, K), and targets as class indices or distributions."""
        labels = targets.argmax(1) if targets.ndim == 2 else targets
        self.loss += loss.detach() * len(logits)
        self.correct += (logits.detach().argmax(1) == labels).sum()
        if self.top5 is not None:
            self.top5 += (logits.detach().topk(5).indices == labels[:, None]).sum()
        self.images += len(logits)

    def read(self, ranks: Ranks) -> dict[str, float]:
        """Return the means over the images of all processes."""
        sums = {"loss": self.loss, "top1": self.correct} | ({} if self.top5 is None else {"top5": self.top5})
        mine = self.loss.new_tensor([self.images, self.images - self.before])
        counts = torch.cat([torch.stack([total.double() for total in sums.values()]), mine])
        *totals, images, fresh = ranks.sum_(counts).tolist()
        self.fresh = int(fresh)
        return {name: value / max(1, images) for name, value in zip(sums, totals, strict=True)}

    def state(self) -> dict[str, Any]:
        return {"loss": float(self.loss), "correct": int(self.correct), "images": self.images}

    def restore(self, state: dict[str, Any]) -> None:
        self.loss.fill_(state["loss"])
        self.correct.fill_(state["correct"])
        self.images = self.before = state["images"]


@attrs.define(eq=False)
class Guard:
    """Tracks on the device whether the loss and gradients are finite. An update with a non-finite value is skipped.

    Nothing waits for the result. After the first such update, all later ones are skipped until the cause is read.
    """

    broken: Tensor  # float, 0 or 1, which fused optimizers read as found_inf
    at: Tensor  # the first step with a non-finite value
    loss: Tensor  # at that step
    norms: Tensor  # the size of each parameter's gradient at that step; 0 elsewhere

    @classmethod
    def on(cls, device: torch.device, parameters: int) -> Guard:
        zero = torch.zeros((), device=device)
        return cls(zero, torch.full((), -1, device=device), zero.clone(), torch.zeros(parameters, device=device))

    @torch.no_grad()
    def look(
        self,
        step: int,
        loss: Tensor,
        gradients: Sequence[Tensor | None] = (),
        scale_too_low: Tensor | None = None,
        absorbed: Tensor | None = None,
    ) -> None:
        """Check a step's loss and gradients (None for parameters without one).

        ``scale_too_low`` is true if the loss scale is too low to be the cause of infinite gradients. ``absorbed`` is
        true if a loss scaler skips this step because of its gradients, which then don't count.
        """
        if self.broken.device.type == "cpu" and _are_finite(loss, gradients, scale_too_low):
            return  # on a CPU, the answer is available immediately
        norms = self._norms(gradients)
        if absorbed is not None:
            norms = torch.where(absorbed, 0.0, norms)
        bad = ~(norms.isfinite().all() & loss.isfinite())
        if scale_too_low is not None:
            bad = bad | scale_too_low
        first = bad & (self.at < 0)
        self.at = torch.where(first, step, self.at)
        self.loss = torch.where(first, loss.float(), self.loss)
        self.norms = torch.where(first, norms, self.norms)
        self.broken = torch.maximum(self.broken, bad.float())

    def _norms(self, gradients: Sequence[Tensor | None]) -> Tensor:
        """Return a size for each gradient that is finite if the gradient is, and 0 if there is none."""
        present = [gradient for gradient in gradients if gradient is not None]
        if not present:
            return torch.zeros_like(self.norms)
        if present[0].device.type == "cuda":
            sizes = iter(torch._foreach_norm(present, 1))
        else:  # on a CPU, a sum is faster than a norm and just as good a check
            sizes = (gradient.sum() for gradient in present)
        zero = self.norms.new_zeros(())
        return torch.stack([zero if gradient is None else next(sizes).float() for gradient in gradients])

    def read(self, names: Sequence[str]) -> tuple[int, str] | None:
        """Return the step (from 0) and the cause if a value was not finite. Waits for the device."""
        step = int(self.at)
        if step < 0:
            return None
        broken = [name for name, finite in zip(names, self.norms.isfinite().tolist(), strict=True) if not finite]
        if not self.loss.isfinite():
            return step, f"the loss is {float(self.loss)}"
        if not broken:
            return step, "gradients are infinite even though the loss scale fell below 1"
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        return step, f"the gradient of `{broken[0]}`{more} is not finite"


def _are_finite(loss: Tensor, gradients: Sequence[Tensor | None], scale_too_low: Tensor | None) -> bool:
    """Whether a loss and its gradients on a CPU are finite, and the loss scale is not too low."""
    if not math.isfinite(loss) or (scale_too_low is not None and bool(scale_too_low)):
        return False
    present = [gradient for gradient in gradients if gradient is not None]
    infinite = torch.zeros(1)
    if present:  # also multiplies them by 1, but is still the fastest check
        try:
            torch._amp_foreach_non_finite_check_and_unscale_(present, infinite, torch.ones(1))
        except NotImplementedError:  # for complex numbers
            return False
    return not bool(infinite)
