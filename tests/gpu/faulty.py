"""Tricks that each have one mistake that only a GPU would show, and part of the finding for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recipe.api import Draws, Insert, Layer, LossContext, Net, Progress, Site, Trick, trick


@trick("augment mask-on-the-cpu", writes=("inputs",))
class MaskOnTheCpu(Trick):
    """Flip some images, by a mask that stays on the CPU."""

    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        mask = torch.from_numpy(draws.uniform()[:, 0] < 0.5)
        return torch.where(mask.view(-1, 1, 1, 1), images.flip(3), images)


@trick("augment boolean-index", writes=("inputs",))
class BooleanIndex(Trick):
    """Darken some images, by an index whose length is unknown until the device has counted."""

    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        dark = images.mean((1, 2, 3)) < 0.5
        images = images.clone()
        images[dark] = images[dark] * 0.5
        return images


@trick("augment blocking-copy", writes=("inputs",))
class BlockingCopy(Trick):
    """Scale each image by a number, in a copy that the host waits for."""

    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        return images * torch.from_numpy(draws.uniform()).float().to(images.device).view(-1, 1, 1, 1)


@trick("augment counting", writes=("inputs",))
class Counting(Trick):
    """Count dark pixels without changing the images."""

    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        places = torch.nonzero(images.mean((1, 2, 3)) < 0.5)
        return images + 0 * places.sum()


@trick("loss to-the-cpu", writes=("loss terms",))
class ToTheCpu(Trick):
    """Add a loss term that is computed on the CPU."""

    def loss_term(self, context: LossContext) -> Tensor:
        return context.logits.float().cpu().square().mean().to(context.logits.device, non_blocking=True)


@trick("item", writes=("grads",))
class Item(Trick):
    """Scale gradients by their norm, as a Python number."""

    def adjust(self, gradients: Sequence[Tensor], weights: Sequence[Tensor], progress: Progress) -> Sequence[Tensor]:
        norm = torch.stack(torch._foreach_norm(list(gradients))).norm()
        factor = 1.0 if norm.item() < 1 else 0.5
        torch._foreach_mul_(list(gradients), factor)
        return gradients


@trick("one-by-one", writes=("average",))
class OneByOne(Trick):
    """Update the average one tensor at a time."""

    def average(self, averages: Sequence[Tensor], weights: Sequence[Tensor], progress: Progress) -> None:
        for mine, theirs in zip(averages, weights, strict=True):
            mine.lerp_(theirs, 0.1)


class Contiguous(nn.Module):
    """Loses the channels-last layout, as a careless reshape does."""

    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.contiguous_format)


@trick("tweak reshaped", writes=("stem",))
class Reshaped(Trick):
    """Insert a layer after the stem that returns contiguous images."""

    def rewrite(self, net: Net) -> Iterable[Site]:
        assert net.stem is not None
        address, _ = net.stem
        layer = Layer(f"{__name__}:Contiguous", {})
        yield Site(address, (Insert(address, ((f"{address}_reshaped", layer),), after=True),))


@trick("optimizer reordered", writes=("optimizer",))
class Reordered(Trick):
    """Use a fused optimizer whose momentum has a different memory layout than the weights."""

    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(groups, lr=rate, momentum=0.9, fused=True)
        step = optimizer.step

        def reordered(*arguments: Any, **named: Any) -> Any:
            for state in optimizer.state.values():
                state["momentum_buffer"] = state["momentum_buffer"].contiguous()
            return step(*arguments, **named)

        optimizer.step = reordered  # type: ignore[method-assign]
        return optimizer


@trick("loss branching", writes=("loss",))
class Branching(Trick):
    """Choose the loss by its own value."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(logits, targets)
        return loss.sqrt() if loss > 1 else loss


FAULTS: Mapping[type[Trick], str] = {
    MaskOnTheCpu: "mixes devices: ",
    BooleanIndex: "waits: index",
    BlockingCopy: "blocks: _to_copy from the CPU in prepare",
    Counting: "waits: nonzero",
    ToTheCpu: "waits: _to_copy to the CPU in loss",
    Item: "waits: item in adjust",
    OneByOne: "in average, and may launch 0",
    Reshaped: "loses the layout: convolution",
    Reordered: "loses the layout: _fused_sgd_",
    Branching: "waits: item in loss",
}
"""The start of the finding for each trick. File and line follow it, except for a count that is too high."""
