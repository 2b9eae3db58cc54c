"""``devices``: what a trick makes goes where its batch is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from recipe.base.wording import reason_of
from recipe.plugins.loss_context import LossContext
from recipe.plugins.trick import Trick
from recipe.testing import inputs
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.trick_under_test import TrickUnderTest
from recipe.training.objective import cross_entropy

COUNT, SIDE = 8, 32


def mixed(message: str) -> bool:
    """Whether an error of torch, by its message, is of a calculation with tensors of several devices."""
    return "same device" in message or "different devices" in message


def devices(subject: TrickUnderTest) -> None:
    """Each hook on tensors takes those of a GPU, mixes them with none of the CPU, and gives such again.

    The tensors have a shape and a device but no values, so no GPU is needed.
    """
    hooks = [hook for hook in CALLS if subject.overrides(hook)]
    if not hooks:
        raise Skipped("it has no hook that tensors of a training go through")
    use = subject.bench.plan(subject.within).find(subject.word)
    assert use is not None
    unseen = [hook for hook in hooks if not _taken(use.trick, hook)]
    if unseen:
        raise Skipped(f"what `{unseen[0]}` does depends on values, or leaves torch: only a GPU can tell")


def _taken(trick: Trick, hook: str) -> bool:
    """Whether a hook takes tensors of a GPU; False where that can't be told without one."""
    word = trick.declared.word
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            found = CALLS[hook](trick)
    except (RuntimeError, NotImplementedError) as error:  # those of values that are asked for are among them
        if not mixed(str(error)):
            return False
        reason = reason_of(error).rstrip("!.")
        raise Unmet(f"`{hook}` of `{word}` fails on a GPU: {reason}; {_HELP}") from None
    if any(isinstance(one, Tensor) and one.device.type != "cuda" for one in tree_leaves(found)):
        raise Unmet(f"`{hook}` of `{word}` gives a tensor on the CPU for a batch on a GPU; {_HELP}")
    return True


_HELP = "take what it makes there, by such as `.to(images.device, non_blocking=True)`"


def _away(tensor: Tensor) -> Tensor:
    return tensor.to("cuda")


def _images() -> Tensor:
    return _away(inputs.images(COUNT, SIDE))


def _targets() -> Tensor:
    return _away(inputs.targets(COUNT, mixed=True))


def _logits() -> Tensor:
    return _away(inputs.logits(COUNT))


def _weights(seed: int) -> list[Tensor]:
    return [_away(one) for one in inputs.weights(seed)]


def _loss_term(trick: Trick) -> Tensor:
    logits, targets = _logits(), _targets()
    return trick.loss_term(LossContext(logits, targets, _images(), cross_entropy(logits, targets), inputs.TEACHERS))


CALLS: Mapping[str, Callable[[Trick], Any]] = {
    "augment": lambda trick: trick.augment(_images(), inputs.draws(COUNT, trick.declared.word)),
    "smooth_targets": lambda trick: trick.smooth_targets(_targets()),
    "mix": lambda trick: trick.mix(_images(), _targets(), inputs.draws(COUNT, trick.declared.word)),
    "loss": lambda trick: trick.loss(_logits(), _targets()),
    "loss_term": _loss_term,
    "adjust": lambda trick: trick.adjust(_weights(1), _weights(0), inputs.PROGRESS[0]),
    "perturb": lambda trick: trick.perturb(_weights(0), _weights(1)),
    "average": lambda trick: trick.average(_weights(2), _weights(0), inputs.PROGRESS[0]),
}
"""How each hook is asked with tensors of a GPU, as in a first step: what is kept between steps is found by `resume`."""
