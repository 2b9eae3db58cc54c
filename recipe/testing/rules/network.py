"""Checks of tricks that build or rewrite a network: their edits, parameters and logits, and torch.compile."""

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
    """Check that `rewrite` doesn't modify the graph, adds nothing to its own result, and doesn't invent sites.

    Drawing initial values again is fine. The network without sites is a single fully connected layer.
    """
    subject.having("rewrite", otherwise="it rewrites no graph")
    program, word = subject.bench.program(subject.within, "meta", fresh=True), subject.word
    use = program.plan.find(word)
    assert use is not None
    before = describe(program)
    edits = [edit for site in call_hook(use, "rewrite", Net(program.structure)) or () for edit in site.edits]
    if describe(program) != before:
        raise Unmet(f"`{word}` modifies the graph directly; yield edits from `rewrite` instead")
    if more := [edit for edit in edits if not (isinstance(edit, Initialise) and edit in program.edits)]:
        help = "yield a site without edits from `rewrite` if there is nothing left to do"
        raise Unmet(f"`{word}` is not idempotent: on its own result it would do “{more[0]}” again; {help}")
    try:
        sites = [*(call_hook(use, "rewrite", traced("bare", program.costs.size)) or ())]
    except RecipeError as error:
        said = error.diagnostics[0].message
        raise Unmet(f"`{word}` fails on a network without convolutions; yield no site instead: {said}") from error
    if sites and not any(site.edits for site in sites):
        message = f"`{word}` yields sites without edits on a network without convolutions"
        raise Unmet(f"{message}; yield nothing there, so that the recipe is rejected (E101)")


def parameters(subject: TrickUnderTest) -> None:
    """Check that every parameter of the stock and the rewritten model has a fate, and that kept ones keep their values.

    No tensor of the trained model may stay on the meta device.
    """
    subject.having("rewrite", "build", otherwise="it changes no network")
    bench, within = subject.bench, subject.within
    program = bench.program(within)
    final = {name for name, _ in program.model.named_parameters()}
    if left := sorted(name for name, tensor in _tensors(program.model) if tensor.device.type == "meta"):
        raise Unmet(
            f"`{left[0]}` stays on the meta device and has no values; "
            "register the layer's tensors as parameters or buffers"
        )
    stock = final
    if not subject.overrides("build"):
        bare = bench.program(subject.home.over("init stock")).model.state_dict()
        stock = {name for name, _ in bench.program(subject.home, "meta").structure.named_parameters()}
        kept = [name for name, fate in program.fates.items() if fate == "kept"]
        values = bench.program(within.over("" if subject.declared.verb == "init" else "init stock")).model.state_dict()
        if changed := [name for name in kept if not torch.equal(values[name], bare[name])]:
            raise Unmet(f"`{changed[0]}` is reported as kept, but its values differ from the stock model's")
    if unknown := sorted((final | stock) ^ program.fates.keys()):
        raise Unmet(f"the program doesn't report what happens to `{unknown[0]}`")


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor that a model's modules hold, including those that are neither parameters nor buffers."""
    for address, module in model.named_modules():
        held = {**vars(module), **module._parameters, **module._buffers}
        yield from ((f"{address}.{name}", value) for name, value in held.items() if isinstance(value, Tensor))


def logits_keep_shape(subject: TrickUnderTest) -> None:
    """Run the network at other image sizes than it was compiled for, if it accepts them without the trick."""
    program = subject.bench.program(subject.within)
    without = program if subject.overrides("build") else subject.bench.program(subject.home)
    for side in (program.costs.size * 2, program.costs.size * 3 // 2 + 1):
        for training, mode in ((True, "training"), (False, "evaluation")):
            expected, shapes = _shapes(without, side, training), _shapes(program, side, training)
            if isinstance(expected, list) and shapes != expected:
                raise Unmet(
                    f"on images of {side}×{side} in {mode}, the network {_told(expected)}, "
                    f"but with `{subject.word}` it {_told(shapes)}"
                )


def _shapes(program: Program, side: int, training: bool) -> list[tuple[int, ...]] | str:
    """Return the shapes of a network's outputs, or the reason why it fails."""
    try:
        with torch.no_grad():
            return [
                tuple(output.shape)
                for output in _outputs(program.model.train(training), images(4, side, program.training.channels))
            ]
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        return reason_of(error)


def _told(shapes: list[tuple[int, ...]] | str) -> str:
    return f"fails: {shapes}" if isinstance(shapes, str) else "returns " + ", ".join(map(str, shapes))


def compiles(subject: TrickUnderTest) -> None:
    """Check that torch.compile traces the network without a graph break, with equal outputs in both modes."""
    subject.having("rewrite", otherwise="it rewrites no graph")
    program = subject.bench.program(subject.within)
    if program.model.code == subject.bench.program(subject.home).model.code:
        raise Skipped("it sets initial weights and leaves the graph unchanged")
    batch = images(4, program.costs.size, program.training.channels)
    for training, mode in ((True, "training"), (False, "evaluation")):
        model = program.model.train(training)
        expected = _outputs(copy.deepcopy(model), batch)
        try:
            torch._dynamo.reset()
            outputs = _outputs(torch.compile(copy.deepcopy(model), fullgraph=True, backend="eager"), batch)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = reason_of(error)
            raise Unmet(f"torch.compile can't capture the network as one graph in {mode}: {reason}") from error
        finally:
            torch._dynamo.reset()
        if not all(torch.allclose(output, other, atol=1e-6) for output, other in zip(outputs, expected, strict=True)):
            raise Unmet("the compiled network returns different outputs than the original")


def _outputs(model: Callable[[Tensor], Any], batch: Tensor) -> tuple[Tensor, ...]:
    """Return all outputs of a network, with the same random numbers each time."""
    with seeded(0):
        outputs = model(batch)
    return outputs if isinstance(outputs, tuple) else (outputs,)
