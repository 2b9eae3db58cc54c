"""Export formats: their declaration, and the installed ones. Doesn't import torch.

All formats, including the built-in ones, register through entry points in the group ``recipe.formats``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import listing
from recipe.plugins.declared import OWN
from recipe.plugins.entry_points import registered
from recipe.plugins.vocabulary import importing_plugin

if TYPE_CHECKING:
    from torch import Tensor

    from recipe.exporters.source_run import SourceRun

GROUP = "recipe.formats"


@attrs.frozen
class Format:
    """A form in which others can use a run's model. See docs/guides/write-a-format.md."""

    name: str
    """The name of the format. In lower case, it is the name of the entry point and the value of ``--to``."""
    suffix: str
    """The suffix of the file to write, with its dot: ``.onnx``."""
    help: str
    """One line about the files."""
    write: Callable[[SourceRun, Path], Tensor | str]
    """A function of a run and a path in an empty folder. It writes that file, optionally more next to it, and
    returns the export's logits (N, K) for ``run.images`` (N, 3, H, W), or the reason why they can't be computed
    here."""
    deploy: Callable[[SourceRun, Path], tuple[Tensor, Tensor] | str] | None = attrs.field(default=None, kw_only=True)
    """A function like ``write`` for ``--deploy``, or None. Its export takes pixels of any size. It returns the inputs
    (M, 3, H, W) of the network and the probabilities (M, K) that the export makes of the images in all batches of
    ``run.pixels``, or the reason why they can't be computed here."""
    needs: tuple[str, ...] = ()
    """The names of the modules that ``write`` imports."""
    install: str = ""
    """The pip requirement for those modules if it differs from their names."""
    package: str = ""
    """The package that provides the format, set when it is loaded."""

    @property
    def absent(self) -> list[str]:
        """The required modules that are not installed."""
        return [name for name in self.needs if find_spec(name) is None]


def find(name: str) -> Format:
    """Return a format by name. Raises `RecipeError` if it is unknown (E121) or can't be used (E080, E081)."""
    offers, _ = _offered()
    if name not in offers:
        raise fail("E121", f"unknown export format `{name}`", help=f"use one of {listing(offers)}")
    return _load(name, offers[name])


def installed() -> tuple[dict[str, Format], list[RecipeError]]:
    """Return the usable formats by name, and an error for each of the others."""
    offers, errors = _offered()
    formats = {}
    for name, several in sorted(offers.items()):
        try:
            formats[name] = _load(name, several)
        except RecipeError as error:
            errors.append(error)
    return formats, errors


def _offered() -> tuple[dict[str, dict[str, EntryPoint]], list[RecipeError]]:
    """Return the packages that register each name, only ours if it is built in, and the errors of rejected ones."""
    entries, damaged = registered(GROUP)
    errors = [package.error for package in damaged]
    offers: dict[str, dict[str, EntryPoint]] = {}
    for package, entry in sorted(entries, key=lambda offer: offer[0] != OWN):
        if package != OWN and OWN in offers.get(entry.name, {}):
            message = f"the format `{entry.name}` of {package} can't be used: {OWN} has a format of this name"
            errors.append(fail("E081", message, help="ask its author to rename it"))
        else:
            offers.setdefault(entry.name, {})[package] = entry
    return offers, errors


def _load(name: str, offers: dict[str, EntryPoint]) -> Format:
    if len(offers) > 1:
        message = f"the format `{name}` is registered by {' and '.join(sorted(offers))}"
        raise fail("E081", message, help="uninstall one of them")
    ((package, entry),) = offers.items()

    def broken(why: str) -> RecipeError:
        help = f"use another format; only `{name}` is affected"
        return fail("E080", f"the plugin {package} is broken: {why}", help=help)

    with importing_plugin(broken):
        format: object = entry.load()
    if not isinstance(format, Format):
        raise broken(f"`{name}` is not a recipe.Format")
    if format.name.lower() != name:
        raise broken(f"it registers `{name}` for a format named `{format.name}`")
    return attrs.evolve(format, package=package)
