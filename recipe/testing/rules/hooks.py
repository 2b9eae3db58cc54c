"""What is held of single hooks, asked with inputs that are made up: shapes, batches, rates and devices."""

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
"""Sums over batches of other sizes may be rounded otherwise."""

DECAY = 0.1


def shapes(subject: TrickUnderTest) -> None:
    """Logits stay (N, K) at other sizes of the images, and every hook keeps to its contract.

    That is what the stubs of `Trick` declare, types and finite values, targets that sum to 1, boxes within their image.
    """
    hooks = [hook for hook in TRIALS if subject.overrides(hook)]
    network = subject.overrides("rewrite", "build")
    if not hooks and not network:
        raise Skipped("it has no hook that images, targets, losses or weights go through")
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
    """What a hook gave that it may not."""


def _like(result: Tensor, given: Tensor, what: str) -> None:
    """See that a tensor has the shape, type and device of another, and no values that are no numbers."""
    if (result.shape, result.dtype, result.device) != (given.shape, given.dtype, given.device):
        raise _Wrong(f"gives {what} as {_kind(result)}, and got {_kind(given)}")
    if not result.isfinite().all():
        raise _Wrong(f"gives {what} with values that are not finite")


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
        raise _Wrong(f"gives targets that are no distributions: they sum to {sums.min():.4g} … {sums.max():.4g}")


Arguments = tuple[Any, ...]
Judge = Callable[[Any, Arguments, Arguments], None]
"""Raises `_Wrong` for a hook's result; also gets the arguments, after the call and as they were before it."""


def _boxes(boxes: Any, given: Arguments, before: Arguments) -> None:
    _, heights, widths = before
    if not np.isfinite(boxes).all():
        raise _Wrong("gives boxes that are not finite")
    top, left, high, wide = boxes.T
    within = (top >= 0) & (left >= 0) & (high > 0) & (wide > 0) & (top + high <= heights) & (left + wide <= widths)
    if not within.all():
        at = int(np.argmin(within))
        raise _Wrong(f"gives a box {boxes[at].tolist()} beyond an image of {heights[at]:g}×{widths[at]:g}")


def _mixed(result: Any, given: Arguments, before: Arguments) -> None:
    _like(result[0], before[0], "images")
    _distributions(result[1], before[1])


def _frozen(names: Any, given: Arguments, before: Arguments) -> None:
    parameters = [*before[0].parameter_names]
    if not {*names} < {*parameters}:
        raise _Wrong(f"freezes {[*names]} of {parameters}; name some of these parameters, and not all")


def _loss(loss: Tensor, logits: Tensor, what: str) -> None:
    if loss.ndim:
        raise _Wrong(f"gives {what} as {(*loss.shape,)}, not as one number; take the mean over the batch")
    if not loss.isfinite():
        raise _Wrong(f"gives {what} of {float(loss.detach())}")
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        _like(logits.grad, logits.detach(), "a gradient")


def _factor(factor: float, given: Arguments, before: Arguments) -> None:
    if not math.isfinite(factor) or factor < 0:
        raise _Wrong(f"gives {factor!r} at {before[0]}, not a factor of at least 0")


def _averages(result: None, given: Arguments, before: Arguments) -> None:
    _all_like(given[0], before[0], "averages")
    if not _equal(given[1], before[1]):
        raise _Wrong("changes the weights themselves")


_COUNTS = {"count": (8, 5, 1)}
"""Images in a batch; a last one may be small, and odd."""
_MIXED = {"mixed": (False, True)}
_LOSSES = {"scale": (1.0, 30.0), **_MIXED, "differentiable": (True,)}
_PROGRESS = {"progress": PROGRESS}

TRIALS: Mapping[str, tuple[Mapping[str, Sequence[Any]], Judge]] = {
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
"""The batches that each hook of a step is asked with, and what must come of it beside what its stub declares."""


def batches(subject: TrickUnderTest) -> None:
    """A loss, or a term of it, is the mean over the batch; targets are softened row by row.

    A batch is computed in parts, and by several processes, whose gradients are averaged: a sum, or a value that images
    have in common only, would come to something else there.
    """
    hooks = subject.having("smooth_targets", "loss", "loss_term", otherwise="it has no hook that judges or softens")
    for hook in hooks:
        for mixed in (False, True):
            _by_parts(subject.use.trick, hook, Batch(subject.word, mixed=mixed))


def _by_parts(trick: Trick, hook: str, batch: Batch) -> None:
    """Compare what a hook gives for a batch with what it gives for its images, or for its halves."""

    def ask(places: slice) -> Tensor:
        return getattr(trick, hook)(*ARGUMENTS[hook](attrs.evolve(batch, places=places)))  # type: ignore[no-any-return]

    whole, half = ask(slice(None)), batch.count // 2
    if hook == "smooth_targets":
        rows = torch.cat([ask(slice(row, row + 1)) for row in range(batch.count)])
        if not torch.allclose(whole, rows, atol=TOLERANCE):
            message = f"`{hook}` of `{batch.word}` makes something else of targets alone than in a batch"
            raise Unmet(f"{message}; let what becomes of a row follow from it")
        return
    mean = torch.stack([ask(part).reshape(()) for part in (slice(half), slice(half, None))]).mean()
    if not torch.allclose(whole, mean, rtol=TOLERANCE, atol=TOLERANCE):
        message = f"`{hook}` of `{batch.word}` gives {float(whole):.4g} for a batch"
        raise Unmet(f"{message}, and {float(mean):.4g} on average for its halves; take the mean over the batch")


def rates(subject: TrickUnderTest) -> None:
    """An optimizer whose groups all have a rate of 0 changes no weight, weight decay or not.

    Before each step every group's ``lr`` is set to what the schedule says: who keeps the first one has no schedule.
    """
    subject.having("optimize", otherwise="it makes no optimizer")
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
            'let `step` take the rate from `group["lr"]`, which is set before each step'
        )


DEVICE_HOOKS = ("augment", "smooth_targets", "mix", "loss", "loss_term", "adjust", "perturb", "average")
"""The hooks that are asked with tensors of a GPU, as in a first step: what is kept between steps `resume` finds."""


def mixed(message: str) -> bool:
    """Whether an error of torch, by its message, is of a calculation with tensors of several devices."""
    return "same device" in message or "different devices" in message


def devices(subject: TrickUnderTest) -> None:
    """Each hook on tensors takes those of a GPU, mixes them with none of the CPU, and gives such again.

    The tensors have a shape and a device but no values, so no GPU is needed.
    """
    hooks = subject.having(*DEVICE_HOOKS, otherwise="it has no hook that tensors of a training go through")
    unseen = [hook for hook in hooks if not _taken(subject.use.trick, hook)]
    if unseen:
        raise Skipped(f"what `{unseen[0]}` does depends on values, or leaves torch: only a GPU can tell")


def _taken(trick: Trick, hook: str) -> bool:
    """Whether a hook takes tensors of a GPU; False where that can't be told without one."""
    word = trick.declared.word
    help = "take what it makes there, by such as `.to(images.device, non_blocking=True)`"
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            result = getattr(trick, hook)(*ARGUMENTS[hook](Batch(word, mixed=True, device="cuda")))
    except (RuntimeError, NotImplementedError) as error:  # those of values that are asked for are among them
        if not mixed(str(error)):
            return False
        reason = reason_of(error).rstrip("!.")
        raise Unmet(f"`{hook}` of `{word}` fails on a GPU: {reason}; {help}") from None
    if any(isinstance(leaf, Tensor) and leaf.device.type != "cuda" for leaf in tree_leaves(result)):
        raise Unmet(f"`{hook}` of `{word}` gives a tensor on the CPU for a batch on a GPU; {help}")
    return True
