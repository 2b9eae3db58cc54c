"""Edits of a graph as data. This module imports no torch, so that diffs and exports can read the same edits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from recipe.base.plain_numbers import plain_numbers


@attrs.frozen
class Layer:
    """A module that an edit creates: ``Layer("Conv2d", {"in_channels": 3, …})``."""

    kind: str
    """The name of a class in `torch.nn`, or ``package.module:Class`` for any other."""
    arguments: dict[str, Any] = attrs.field(factory=dict, converter=plain_numbers)
    """The keyword arguments of the class."""

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"


Chain = tuple[tuple[str, Layer], ...]
"""Modules that run one after another, each with its address in the model."""


def _is_chain(edit: Any, attribute: Any, chain: Any) -> None:
    """Raise `TypeError` if a value is not a chain, for example because of a missing comma or parenthesis."""
    pairs = isinstance(chain, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in chain)
    if not (pairs and all(isinstance(a, str) and isinstance(layer, Layer) for a, layer in chain)):
        kind = type(edit).__name__
        raise TypeError(f'the chain of {kind} must be a tuple of pairs, (("address", Layer(…)),), not {chain!r:.120}')


@attrs.frozen
class SetAttribute:
    """Change an attribute of the module at an address in all its calls: ``layer2.0.conv1 stride 1×1 → 2×2``."""

    address: str
    """The address of the module."""
    name: str
    """The name of the attribute, such as ``stride``."""
    before: Any = attrs.field(converter=plain_numbers)
    """The value to replace."""
    after: Any = attrs.field(converter=plain_numbers)
    """The new value."""

    def __str__(self) -> str:
        return f"{self.address}: {self.name} {_show(self.before)} → {_show(self.after)}"


@attrs.frozen
class Substitute:
    """Replace the module at an address with a chain of new ones in all its calls. Drops its parameters."""

    address: str
    """The address of the module to replace."""
    chain: Chain = attrs.field(validator=_is_chain)
    """The new modules in the order in which they run, as pairs of an address and a `Layer`."""

    def __str__(self) -> str:
        return f"{self.address}: replaced by{_listed(self.chain)}"


@attrs.frozen
class Insert:
    """Insert a chain of new modules before (or after) the module at an address."""

    address: str
    """The address of the module, or of another node. See `Net.address`."""
    chain: Chain = attrs.field(validator=_is_chain)
    """The new modules in the order in which they run, as pairs of an address and a `Layer`."""
    after: bool = False
    """Whether to insert them after the module instead of before it."""

    def __str__(self) -> str:
        return f"{self.address}: {'after' if self.after else 'before'} it{_listed(self.chain)}"


@attrs.frozen
class Initialise:
    """Initialize a parameter."""

    parameter: str
    """The name of the parameter."""
    scheme: str
    """The name of a function in `torch.nn.init` without its trailing underscore: ``xavier_uniform``."""
    arguments: dict[str, Any] = attrs.field(factory=dict, converter=plain_numbers)
    """The keyword arguments of that function."""

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.parameter}: {self.scheme}({arguments})"


Edit = SetAttribute | Substitute | Insert | Initialise
"""One change to the network."""


@attrs.frozen
class Site:
    """A place where a trick applies, and its edits there. With no edits, the place needs no change."""

    where: str
    """The place, such as the address of a module or block, for people to read."""
    edits: tuple[Edit, ...] = attrs.field(default=())
    """The edits, in the order in which they apply."""

    @edits.validator
    def _check(self, attribute: Any, edits: Any) -> None:
        if not (isinstance(edits, tuple) and all(isinstance(edit, Edit) for edit in edits)):
            raise TypeError(f"the edits of Site must be a tuple, (Insert(…),), not {edits!r:.120}")


def _listed(chain: Chain) -> str:
    if len(chain) == 1:
        return f" {chain[0][0]} {chain[0][1]}"
    return "".join(f"\n  {name} {layer}" for name, layer in chain)


def _show(value: Any) -> str:
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


def made_prefixes(edits: Iterable[Edit]) -> tuple[str, ...]:
    """Return the prefixes of the names of all parameters in modules that edits create."""
    chains = (edit.chain for edit in edits if isinstance(edit, (Substitute, Insert)))
    return tuple(f"{address}." for chain in chains for address, _ in chain)
