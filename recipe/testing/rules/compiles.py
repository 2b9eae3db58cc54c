"""``compiles``: torch.compile takes the rewritten network whole."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recipe.base.wording import reason_of
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.trick_under_test import TrickUnderTest


def compiles(subject: TrickUnderTest) -> None:
    """The network traces under torch.compile without a graph break, in training and evaluation, to equal outputs."""
    if not subject.overrides("rewrite"):
        raise Skipped("it rewrites no graph")
    program = subject.bench.program(subject.within)
    if program.model.code == subject.bench.program(subject.home).model.code:
        raise Skipped("it gives values to weights, and leaves the graph as it is")
    images = torch.rand(4, 3, program.costs.size, program.costs.size, generator=torch.Generator().manual_seed(0))
    for training in (True, False):
        model = program.model.train(training)
        expected = _outputs(copy.deepcopy(model), images)
        try:
            torch._dynamo.reset()
            found = _outputs(torch.compile(copy.deepcopy(model), fullgraph=True, backend="eager"), images)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = reason_of(error)
            mode = "training" if training else "evaluation"
            raise Unmet(f"torch.compile does not take the network whole in {mode}: {reason}") from error
        finally:
            torch._dynamo.reset()
        if not all(torch.allclose(one, other, atol=1e-6) for one, other in zip(found, expected, strict=True)):
            raise Unmet("the compiled network gives other outputs than the network itself")


def _outputs(model: Callable[[Tensor], Any], images: Tensor) -> tuple[Tensor, ...]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = model(images)
    return found if isinstance(found, tuple) else (found,)
