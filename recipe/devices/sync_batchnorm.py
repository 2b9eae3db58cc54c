"""Batch normalization with statistics of the whole batch across all processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from recipe.base.errors import fail

SYNCHRONISED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def synchronised(model: nn.Module, device: torch.device) -> nn.Module:
    """Synchronize every batch normalization of a model without changing names or states.

    Raises `RecipeError` (E102) for a class that does more than normalize, such as timm's with a built-in activation.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and type(module) not in SYNCHRONISED:
            message = f"`norm sync` can't synchronize `{name}`, which is a {type(module).__name__}"
            raise fail("E102", message, help="remove `norm sync`, or use a model with torch's own normalization layers")
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call, no-any-return]
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = _SynchronisedBatchNorm  # torch's own does not run on CPUs
    return model


class _Sum(torch.autograd.Function):
    """Sum a tensor over all processes; in the backward pass, sum its gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class _SynchronisedBatchNorm(_BatchNorm):
    """Batch normalization over all processes, for CPUs. Tricks recognize a normalization by `Norm` in its name."""

    def _check_input_dim(self, input: Tensor) -> None: ...

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x, axes = input.float(), [0, *range(2, input.ndim)]
        shape = [1, -1, *([1] * (input.ndim - 2))]
        count = x.new_full((1,), x.numel() / x.shape[1])
        sums: Tensor = _Sum.apply(torch.cat([x.sum(axes), count]))
        images = sums[-1]
        mean = sums[:-1] / images
        # Sum squared deviations: subtracting the squared mean from the mean of squares would lose small variances.
        variance: Tensor = _Sum.apply((x - mean.view(shape)).square().sum(axes)) / images
        self._track(mean, variance, images)
        normal = (x - mean.view(shape)) * torch.rsqrt(variance.view(shape) + self.eps)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, images: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        part = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance * images / (images - 1).clamp_min(1), part)
