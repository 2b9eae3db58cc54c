"""``parameters``: it is known what becomes of every weight."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from recipe.testing.findings import Skipped, Unmet
from recipe.testing.trick_under_test import TrickUnderTest


def parameters(subject: TrickUnderTest) -> None:
    """Every parameter, of the stock model and of the rewritten one, has a fate; those that are kept have their values.

    Nothing of the model that is trained stays on the meta device.
    """
    if not subject.overrides("rewrite", "build"):
        raise Skipped("it changes no network")
    bench, within = subject.bench, subject.within
    program = bench.program(within)
    final = {name for name, _ in program.model.named_parameters()}
    if left := sorted(name for name, place in _tensors(program.model) if place.device.type == "meta"):
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


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor that a model's modules hold, also where it is neither parameter nor buffer."""
    for address, module in model.named_modules():
        held = {**vars(module), **module._parameters, **module._buffers}
        yield from ((f"{address}.{name}", value) for name, value in held.items() if isinstance(value, torch.Tensor))
