"""``shapes``: what goes through a trick comes out as what comes next takes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from recipe.base.wording import reason_of
from recipe.compiler.program import Program
from recipe.plugins.calling import call_hook
from recipe.plugins.loss_context import LossContext
from recipe.plugins.uses import Use
from recipe.testing import inputs
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.models import traced
from recipe.testing.trick_under_test import TrickUnderTest
from recipe.training.objective import cross_entropy

COUNTS = (8, 5, 1)
"""Images in a batch; a last one may be small, and odd."""

SIDES = (32, 23)


def shapes(subject: TrickUnderTest) -> None:
    """Logits stay (N, K) at other sizes of the images, and every hook keeps to its contract.

    That is what the stubs of `Trick` declare, types and finite values, targets that sum to 1, boxes within their image.
    """
    hooks = [hook for hook in TRIALS if subject.overrides(hook)]
    network = subject.overrides("rewrite", "build")
    if not hooks and not network:
        raise Skipped("it has no hook that images, targets, losses or weights go through")
    use = subject.bench.plan(subject.within).find(subject.word)
    assert use is not None
    for hook in hooks:
        try:
            TRIALS[hook](use)
        except _Wrong as wrong:
            raise Unmet(f"`{hook}` of `{subject.word}` {wrong}") from None
    if network:
        _logits(subject)


def _logits(subject: TrickUnderTest) -> None:
    """Run the network on images of other sizes than it was compiled for, those that it takes without the trick."""
    bench = subject.bench
    program = bench.program(subject.within)
    without = program if subject.overrides("build") else bench.program(subject.home)
    for side in (program.costs.size * 2, program.costs.size * 3 // 2 + 1):
        for training in (True, False):
            expected, found = _run(without, side, training), _run(program, side, training)
            if isinstance(expected, tuple) and found != expected:
                mode = "training" if training else "evaluation"
                raise Unmet(
                    f"on images of {side}×{side} the network gives {_told(expected)} in {mode}, "
                    f"and with `{subject.word}` {_told(found)}"
                )


def _run(program: Program, side: int, training: bool) -> tuple[tuple[int, ...], ...] | str:
    """The shapes of what a network gives, or why it gives nothing."""
    try:
        with torch.no_grad():
            found = program.model.train(training)(inputs.images(4, side))
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        return reason_of(error)
    return tuple(tuple(one.shape) for one in (found if isinstance(found, tuple) else (found,)))


def _told(found: tuple[tuple[int, ...], ...] | str) -> str:
    return f"fails: {found}" if isinstance(found, str) else "outputs of " + ", ".join(map(str, found))


class _Wrong(Exception):
    """What a hook gave that it may not."""


def _like(found: Tensor, given: Tensor, what: str) -> Tensor:
    """A tensor of the shape, type and device of another, without values that are no numbers."""
    if (found.shape, found.dtype, found.device) != (given.shape, given.dtype, given.device):
        raise _Wrong(f"gives {what} as {_kind(found)}, and got {_kind(given)}")
    if not found.isfinite().all():
        raise _Wrong(f"gives {what} with values that are not finite")
    return found


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def _distributions(found: Tensor, given: Tensor) -> None:
    sums = _like(found, given, "targets").sum(1)
    if (found < 0).any() or not torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        raise _Wrong(f"gives targets that are no distributions: they sum to {sums.min():.4g} … {sums.max():.4g}")


def _number(found: Tensor, what: str) -> None:
    if found.ndim:
        raise _Wrong(f"gives {what} as {(*found.shape,)}, not as one number; take the mean over the batch")
    if not found.isfinite():
        raise _Wrong(f"gives {what} of {float(found.detach())}")


def _augment(use: Use) -> None:
    for count in COUNTS:
        for side in SIDES:
            given = inputs.images(count, side)
            _like(call_hook(use, "augment", given.clone(), inputs.draws(count, use.word)), given, "images")


def _mix(use: Use) -> None:
    for count in COUNTS:
        given, targets = inputs.images(count, SIDES[0]), inputs.targets(count)
        mixed = call_hook(use, "mix", given.clone(), targets.clone(), inputs.draws(count, use.word))
        _like(mixed[0], given, "images")
        _distributions(mixed[1], targets)


def _smooth_targets(use: Use) -> None:
    for targets in (inputs.targets(8), inputs.targets(8, mixed=True)):
        _distributions(call_hook(use, "smooth_targets", targets.clone()), targets)


def _box(use: Use) -> None:
    heights, widths = np.array([32.0, 20.0, 64.0, 8.0]), np.array([32.0, 64.0, 20.0, 300.0])
    found = call_hook(use, "crop_box", inputs.draws(4, "crop"), heights, widths)
    if not np.isfinite(found).all():
        raise _Wrong("gives boxes that are not finite")
    top, left, high, wide = found.T
    within = (top >= 0) & (left >= 0) & (high > 0) & (wide > 0) & (top + high <= heights) & (left + wide <= widths)
    if not within.all():
        at = int(np.argmin(within))
        raise _Wrong(f"gives a box {found[at].tolist()} beyond an image of {heights[at]:g}×{widths[at]:g}")


def _resolution(use: Use) -> None:
    for side in (224, 32, 1):
        for progress in inputs.PROGRESS:
            call_hook(use, "resolution", side, progress)


def _frozen(use: Use) -> None:
    net = traced("small", SIDES[0])
    for progress in inputs.PROGRESS:
        found = [*call_hook(use, "frozen", net, progress)]
        if not set(found) < {*net.parameter_names}:
            raise _Wrong(f"freezes {found} of {[*net.parameter_names]}; name some of these parameters, and not all")


def _loss(use: Use) -> None:
    for scale in (1.0, 30.0):
        for targets in (inputs.targets(8), inputs.targets(8, mixed=True)):
            _differentiable(partial(_judged, use, targets), scale, "a loss")


def _judged(use: Use, targets: Tensor, logits: Tensor) -> Tensor:
    return call_hook(use, "loss", logits, targets)  # type: ignore[no-any-return]


def _loss_term(use: Use) -> None:
    for scale in (1.0, 30.0):
        for targets in (inputs.targets(8), inputs.targets(8, mixed=True)):
            _differentiable(partial(_penalised, use, targets), scale, "a term")


def _penalised(use: Use, targets: Tensor, logits: Tensor) -> Tensor:
    loss = cross_entropy(logits, targets)
    context = LossContext(logits, targets, inputs.images(8, SIDES[0]), loss, inputs.TEACHERS)
    return call_hook(use, "loss_term", context)  # type: ignore[no-any-return]


def _differentiable(loss: Callable[[Tensor], Tensor], scale: float, what: str) -> None:
    logits = inputs.logits(8, scale).requires_grad_()
    found = loss(logits)
    _number(found, what)
    if found.requires_grad:
        found.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        _like(logits.grad, logits.detach(), "a gradient")


def _factor(use: Use) -> None:
    for progress in inputs.PROGRESS:
        found = call_hook(use, "lr_factor", progress)
        if not math.isfinite(found) or found < 0:
            raise _Wrong(f"gives {found!r} at {progress}, not a factor of at least 0")


def _adjust(use: Use) -> None:
    for progress in inputs.PROGRESS:
        _all_like(
            call_hook(use, "adjust", inputs.weights(1), inputs.weights(0), progress), inputs.weights(1), "gradients"
        )


def _perturb(use: Use) -> None:
    _all_like(call_hook(use, "perturb", inputs.weights(0), inputs.weights(1)), inputs.weights(0), "steps")


def _average(use: Use) -> None:
    for progress in inputs.PROGRESS:
        averages, weights = inputs.weights(2), inputs.weights(0)
        call_hook(use, "average", averages, weights, progress)
        _all_like(averages, inputs.weights(2), "averages")
        if not all(torch.equal(one, other) for one, other in zip(weights, inputs.weights(0), strict=True)):
            raise _Wrong("changes the weights themselves")


def _all_like(found: Sequence[Tensor], given: Sequence[Tensor], what: str) -> None:
    for one, other in zip(found, given, strict=True):
        _like(one, other, what)


TRIALS: Mapping[str, Callable[[Use], None]] = {
    "crop_box": _box,
    "augment": _augment,
    "smooth_targets": _smooth_targets,
    "mix": _mix,
    "resolution": _resolution,
    "frozen": _frozen,
    "loss": _loss,
    "loss_term": _loss_term,
    "lr_factor": _factor,
    "adjust": _adjust,
    "perturb": _perturb,
    "average": _average,
}
"""How each hook of a step is called, and what must come of it beside what its stub in `Trick` declares."""
