"""What is held of a trick that builds or rewrites a network: its edits, its parameters, its logits, torch.compile."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from recipe.base.errors import RecipeError
from recipe.base.wording import reason_of
from recipe.compiler.program import Program
from recipe.compiler.summarise import describe
from recipe.graph.edits import Initialise
from recipe.graph.net import Net
from recipe.plugins.calling import call_hook
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.inputs import images, seeded
from recipe.testing.models import traced
from recipe.testing.trick_under_test import TrickUnderTest


def no_op(subject: TrickUnderTest) -> None:
    """A rewrite changes nothing itself, adds nothing to its own result, and claims no site where there is none.

    Values that are drawn again are no addition. The network without sites is one fully connected layer.
    """
    subject.having("rewrite", otherwise="it rewrites no graph")
    program, word = subject.bench.program(subject.within, "meta", fresh=True), subject.word
    use = program.plan.find(word)
    assert use is not None
    before = describe(program)
    edits = [edit for site in call_hook(use, "rewrite", Net(program.structure)) for edit in site.edits]
    if describe(program) != before:
        raise Unmet(f"`{word}` changes the graph itself; let `rewrite` give edits, and change nothing")
    if more := [edit for edit in edits if not (isinstance(edit, Initialise) and edit in program.edits)]:
        help = "let `rewrite` give a site without edits where its work is done"
        raise Unmet(f"`{word}` piles up: on its own result it would do “{more[0]}” again; {help}")
    try:
        sites = [*call_hook(use, "rewrite", traced("bare", program.costs.size))]
    except RecipeError as error:
        said = error.diagnostics[0].message
        raise Unmet(f"`{word}` fails on a network without convolutions; let it give no site: {said}") from error
    if sites and not any(site.edits for site in sites):
        raise Unmet(f"`{word}` says “already so” of a network without convolutions; let it give no site there (E101)")


def parameters(subject: TrickUnderTest) -> None:
    """Every parameter, of the stock model and of the rewritten one, has a fate; those that are kept have their values.

    Nothing of the model that is trained stays on the meta device.
    """
    subject.having("rewrite", "build", otherwise="it changes no network")
    bench, within = subject.bench, subject.within
    program = bench.program(within)
    final = {name for name, _ in program.model.named_parameters()}
    if left := sorted(name for name, tensor in _tensors(program.model) if tensor.device.type == "meta"):
        raise Unmet(
            f"`{left[0]}` stays on the meta device, and has no values; "
            "let a layer keep its tensors as parameters or buffers"
        )
    stock = final
    if not subject.overrides("build"):
        bare = bench.program(subject.home.over("init stock")).model.state_dict()
        stock = {name for name, _ in bench.program(subject.home, "meta").structure.named_parameters()}
        kept = [name for name, fate in program.fates.items() if fate == "kept"]
        values = bench.program(within.over("" if subject.declared.verb == "init" else "init stock")).model.state_dict()
        if changed := [name for name in kept if not torch.equal(values[name], bare[name])]:
            raise Unmet(f"`{changed[0]}` is told to be kept, and has other values than the stock model's")
    if unknown := sorted((final | stock) ^ program.fates.keys()):
        raise Unmet(f"nothing is told of what becomes of `{unknown[0]}`")


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that a model's modules hold, also where it is neither parameter nor buffer."""
    for address, module in model.named_modules():
        held = {**vars(module), **module._parameters, **module._buffers}
        yield from ((f"{address}.{name}", value) for name, value in held.items() if isinstance(value, Tensor))


def logits_keep_shape(subject: TrickUnderTest) -> None:
    """Run the network on images of other sizes than it was compiled for, those that it takes without the trick."""
    program = subject.bench.program(subject.within)
    without = program if subject.overrides("build") else subject.bench.program(subject.home)
    for side in (program.costs.size * 2, program.costs.size * 3 // 2 + 1):
        for training, mode in ((True, "training"), (False, "evaluation")):
            expected, shapes = _shapes(without, side, training), _shapes(program, side, training)
            if isinstance(expected, list) and shapes != expected:
                raise Unmet(
                    f"on images of {side}×{side} the network gives {_told(expected)} in {mode}, "
                    f"and with `{subject.word}` {_told(shapes)}"
                )


def _shapes(program: Program, side: int, training: bool) -> list[tuple[int, ...]] | str:
    """The shapes of what a network gives, or why it gives nothing."""
    try:
        with torch.no_grad():
            return [tuple(output.shape) for output in _outputs(program.model.train(training), images(4, side))]
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        return reason_of(error)


def _told(shapes: list[tuple[int, ...]] | str) -> str:
    return f"fails: {shapes}" if isinstance(shapes, str) else "outputs of " + ", ".join(map(str, shapes))


def compiles(subject: TrickUnderTest) -> None:
    """The network traces under torch.compile without a graph break, in training and evaluation, to equal outputs."""
    subject.having("rewrite", otherwise="it rewrites no graph")
    program = subject.bench.program(subject.within)
    if program.model.code == subject.bench.program(subject.home).model.code:
        raise Skipped("it gives values to weights, and leaves the graph as it is")
    batch = images(4, program.costs.size)
    for training, mode in ((True, "training"), (False, "evaluation")):
        model = program.model.train(training)
        expected = _outputs(copy.deepcopy(model), batch)
        try:
            torch._dynamo.reset()
            outputs = _outputs(torch.compile(copy.deepcopy(model), fullgraph=True, backend="eager"), batch)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = reason_of(error)
            raise Unmet(f"torch.compile does not take the network whole in {mode}: {reason}") from error
        finally:
            torch._dynamo.reset()
        if not all(torch.allclose(output, other, atol=1e-6) for output, other in zip(outputs, expected, strict=True)):
            raise Unmet("the compiled network gives other outputs than the network itself")


def _outputs(model: Callable[[Tensor], Any], batch: Tensor) -> tuple[Tensor, ...]:
    """All that a network gives, with the same random numbers each time."""
    with seeded(0):
        outputs = model(batch)
    return outputs if isinstance(outputs, tuple) else (outputs,)
