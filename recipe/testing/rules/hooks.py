"""Checks of single hooks, called with made-up inputs: shapes, batches, rates and devices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from recipe.base.wording import reason_of
from recipe.plugins.calling import call_hook
from recipe.plugins.trick import Trick
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.inputs import ARGUMENTS, PROGRESS, Batch, weights
from recipe.testing.rules.network import logits_keep_shape
from recipe.testing.trick_under_test import TrickUnderTest

TOLERANCE = 1e-4
"""Allows for different rounding of sums at other batch sizes."""

DECAY = 0.1


def shapes(subject: TrickUnderTest) -> None:
    """Check that logits stay (N, K) at other image sizes, and that every hook keeps to its contract.

    The contract: the stubs of `Trick`, types, finite values, targets that sum to 1, and boxes within their image.
    """
    hooks = [hook for hook in TRIALS if subject.overrides(hook)]
    network = subject.overrides("rewrite", "build")
    if not hooks and not network:
        raise Skipped("it has no hook on images, targets, losses or weights")
    for hook in hooks:
        options, judge = TRIALS[hook]
        for values in itertools.product(*options.values()):
            batch = Batch(subject.word, **dict(zip(options, values, strict=True)))
            given, before = ARGUMENTS[hook](batch), ARGUMENTS[hook](batch)
            try:
                judge(call_hook(subject.use, hook, *given), given, before)
            except _Wrong as wrong:
                raise Unmet(f"`{hook}` of `{subject.word}` {wrong}") from None
    if network:
        logits_keep_shape(subject)


class _Wrong(Exception):
    """A result that a hook must not return."""


def _like(result: Tensor, given: Tensor, what: str) -> None:
    """Check that a tensor has the shape, type and device of another, and only finite values."""
    if (result.shape, result.dtype, result.device) != (given.shape, given.dtype, given.device):
        raise _Wrong(f"returns {what} as {_kind(result)}, not {_kind(given)}")
    if not result.isfinite().all():
        raise _Wrong(f"returns {what} with values that are not finite")


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def _all_like(results: Sequence[Tensor], given: Sequence[Tensor], what: str) -> None:
    for result, tensor in zip(results, given, strict=True):
        _like(result, tensor, what)


def _equal(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(torch.equal(tensor, other) for tensor, other in zip(tensors, others, strict=True))


def _distributions(targets: Tensor, given: Tensor) -> None:
    _like(targets, given, "targets")
    sums = targets.sum(1)
    if (targets < 0).any() or not torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        raise _Wrong(f"returns targets that are not distributions: they sum to {sums.min():.4g} … {sums.max():.4g}")


Arguments = tuple[Any, ...]
Judge = Callable[[Any, Arguments, Arguments], None]
"""Checks the result of a hook. Receives the result, and the arguments after and before the call. Raises `_Wrong`."""


def _boxes(boxes: Any, given: Arguments, before: Arguments) -> None:
    _, heights, widths = before
    if not np.isfinite(boxes).all():
        raise _Wrong("returns boxes that are not finite")
    top, left, high, wide = boxes.T
    within = (top >= 0) & (left >= 0) & (high > 0) & (wide > 0) & (top + high <= heights) & (left + wide <= widths)
    if not within.all():
        at = int(np.argmin(within))
        raise _Wrong(f"returns a box {boxes[at].tolist()} outside an image of {heights[at]:g}×{widths[at]:g}")


def _mixed(result: Any, given: Arguments, before: Arguments) -> None:
    _like(result[0], before[0], "images")
    _distributions(result[1], before[1])


def _frozen(names: Any, given: Arguments, before: Arguments) -> None:
    net, addresses = before[0], tuple(f"{name}." for name in names)
    parameters = [*net.parameter_names]
    known = {*parameters, *(address for address, _ in net.graph_module.named_modules() if address)}
    if not {*names} <= known or all(f"{name}.".startswith(addresses) for name in parameters):
        help = "return some of these parameters, or addresses of modules, but not all"
        raise _Wrong(f"freezes {[*names]} of {parameters}; {help}")


def _loss(loss: Tensor, logits: Tensor, what: str) -> None:
    if loss.ndim:
        raise _Wrong(f"returns {what} of shape {(*loss.shape,)} instead of a scalar; take the mean over the batch")
    if not loss.isfinite():
        raise _Wrong(f"returns {what} of {float(loss.detach())}")
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        _like(logits.grad, logits.detach(), "a gradient")


def _factor(factor: float, given: Arguments, before: Arguments) -> None:
    if not math.isfinite(factor) or factor < 0:
        raise _Wrong(f"returns {factor!r} at {before[0]}, not a factor of at least 0")


def _averages(result: None, given: Arguments, before: Arguments) -> None:
    _all_like(given[0], before[0], "averages")
    if not _equal(given[1], before[1]):
        raise _Wrong("changes the weights themselves")


_COUNTS = {"count": (8, 5, 1)}
"""Images per batch. The last batch of an epoch may be small, or have an odd number of images."""
_MIXED = {"mixed": (False, True)}
_LOSSES = {"scale": (1.0, 30.0), **_MIXED, "differentiable": (True,)}
_PROGRESS = {"progress": PROGRESS}

TRIALS: Mapping[str, tuple[Mapping[str, Sequence[Any]], Judge]] = {
    "epoch_order": ({"count": (1, 64)}, lambda *_: None),
    "crop_box": ({"count": (4,)}, _boxes),
    "augment": ({**_COUNTS, "side": (32, 23)}, lambda result, given, before: _like(result, before[0], "images")),
    "smooth_targets": (_MIXED, lambda result, given, before: _distributions(result, before[0])),
    "mix": (_COUNTS, _mixed),
    "resolution": ({"side": (224, 32, 1), **_PROGRESS}, lambda *_: None),
    "frozen": (_PROGRESS, _frozen),
    "loss": (_LOSSES, lambda result, given, before: _loss(result, given[0], "a loss")),
    "loss_term": (_LOSSES, lambda result, given, before: _loss(result, given[0].logits, "a term")),
    "lr_factor": (_PROGRESS, _factor),
    "adjust": (_PROGRESS, lambda result, given, before: _all_like(result, before[0], "gradients")),
    "perturb": ({}, lambda result, given, before: _all_like(result, before[0], "steps")),
    "average": (_PROGRESS, _averages),
}
"""For each hook of a step, the batches to call it with, and the judge of its result."""


def batches(subject: TrickUnderTest) -> None:
    """Check that a loss or loss term is the mean over the batch, and that targets are softened row by row.

    Micro-batches and processes each compute a part of a batch, and their gradients are averaged. A sum, or a value that
    several images share, would change the result.
    """
    hooks = subject.having("smooth_targets", "loss", "loss_term", otherwise="it has no hook on targets or losses")
    for hook in hooks:
        for mixed in (False, True):
            _by_parts(subject.use.trick, hook, Batch(subject.word, mixed=mixed))


def _by_parts(trick: Trick, hook: str, batch: Batch) -> None:
    """Compare a hook's result for a batch with its results for single images or for halves."""

    def ask(places: slice) -> Tensor:
        return getattr(trick, hook)(*ARGUMENTS[hook](attrs.evolve(batch, places=places)))  # type: ignore[no-any-return]

    whole, half = ask(slice(None)), batch.count // 2
    if hook == "smooth_targets":
        rows = torch.cat([ask(slice(row, row + 1)) for row in range(batch.count)])
        if not torch.allclose(whole, rows, atol=TOLERANCE):
            message = f"`{hook}` of `{batch.word}` changes targets differently alone than in a batch"
            raise Unmet(f"{message}; compute each row from that row alone")
        return
    mean = torch.stack([ask(part).reshape(()) for part in (slice(half), slice(half, None))]).mean()
    if not torch.allclose(whole, mean, rtol=TOLERANCE, atol=TOLERANCE):
        message = f"`{hook}` of `{batch.word}` returns {float(whole):.4g} for a batch"
        raise Unmet(f"{message}, but {float(mean):.4g} on average for its halves; take the mean over the batch")


def rates(subject: TrickUnderTest) -> None:
    """Check that an optimizer doesn't change weights at a learning rate of 0, even with weight decay.

    The schedule sets ``lr`` in every group before each step. An optimizer that keeps its initial rate ignores it.
    """
    subject.having("optimize", otherwise="it creates no optimizer")
    parameters = [nn.Parameter(weight) for weight in weights(0)]
    optimizer = subject.use.trick.optimize([{"params": parameters, "weight_decay": DECAY}], 0.1)
    for seed in (2, 3):
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        for parameter, gradient in zip(parameters, weights(seed), strict=True):
            parameter.grad = gradient
        optimizer.step()
    if not _equal(parameters, weights(0)):
        raise Unmet(
            f"the optimizer of `{subject.word}` changes weights at a learning rate of 0; "
            'read the rate from `group["lr"]` in `step`, since it is set before each step'
        )


DEVICE_HOOKS = ("augment", "smooth_targets", "mix", "loss", "loss_term", "adjust", "perturb", "average")
"""The hooks to call with GPU tensors, as in a first step. State kept between steps is up to the `resume` check."""


def mixed(message: str) -> bool:
    """Whether a torch error message is about tensors on different devices."""
    return "same device" in message or "different devices" in message


def devices(subject: TrickUnderTest) -> None:
    """Check that each tensor hook accepts GPU tensors, doesn't mix them with CPU tensors, and returns GPU tensors.

    The tensors have a shape and a device but no values, so the check needs no GPU.
    """
    hooks = subject.having(*DEVICE_HOOKS, otherwise="it has no hook on the tensors of a training step")
    unseen = [hook for hook in hooks if not _taken(subject.use.trick, hook)]
    if unseen:
        raise Skipped(f"`{unseen[0]}` depends on tensor values or leaves torch, so checking it requires a GPU")


def _taken(trick: Trick, hook: str) -> bool:
    """Whether a hook accepts GPU tensors. False if this can't be determined without a GPU."""
    word = trick.declared.word
    help = "move new tensors to the batch's device, as in `.to(images.device, non_blocking=True)`"
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            result = getattr(trick, hook)(*ARGUMENTS[hook](Batch(word, mixed=True, device="cuda")))
    except (RuntimeError, NotImplementedError) as error:  # also raised when a hook reads values
        if not mixed(str(error)):
            return False
        reason = reason_of(error).rstrip("!.")
        raise Unmet(f"`{hook}` of `{word}` fails on a GPU: {reason}; {help}") from None
    if any(isinstance(leaf, Tensor) and leaf.device.type != "cuda" for leaf in tree_leaves(result)):
        raise Unmet(f"`{hook}` of `{word}` returns a tensor on the CPU for a batch on a GPU; {help}")
    return True
