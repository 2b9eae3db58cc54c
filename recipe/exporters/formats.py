"""Export formats: what one declares, and which are installed. Needs no torch.

A format registers through an entry point of the group ``recipe.formats``, as tricks do through theirs, and ours too.
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
from recipe.plugins.entry_points import registered
from recipe.plugins.trick import OWN
from recipe.plugins.vocabulary import importing_plugin

if TYPE_CHECKING:
    from torch import Tensor

    from recipe.exporters.source_run import SourceRun

GROUP = "recipe.formats"


@attrs.frozen
class Format:
    """A form in which others can use a run's model.

    In lower case, ``name`` is the name of its entry point, which ``--to`` takes; ``help`` is a line on the files.
    ``write`` gets a run and a path in an empty folder. It writes that file, and others next to it, and returns the
    logits (N, K) that they give for ``run.images`` (N, 3, H, W), or why these can't be calculated here. ``needs`` are
    modules that it imports; ``install`` is what pip installs them by, where that is not their names.
    """

    name: str
    suffix: str
    help: str
    write: Callable[[SourceRun, Path], Tensor | str]
    needs: tuple[str, ...] = ()
    install: str = ""
    package: str = ""
    """The package that offers it, once it is found."""

    @property
    def absent(self) -> list[str]:
        """The modules that are needed and not installed."""
        return [name for name in self.needs if find_spec(name) is None]


def find(name: str) -> Format:
    """The format of a name. Raises `RecipeError` where there is none (E121), or it can't be used (E080, E081)."""
    offers, _ = _offered()
    if name not in offers:
        raise fail("E121", f"there is no export to `{name}`", help=f"formats are {listing(offers)}")
    return _load(name, offers[name])


def installed() -> tuple[dict[str, Format], list[RecipeError]]:
    """Every format that can be used, by its name, and why what else is installed can't be."""
    offers, errors = _offered()
    formats = {}
    for name, several in sorted(offers.items()):
        try:
            formats[name] = _load(name, several)
        except RecipeError as error:
            errors.append(error)
    return formats, errors


def _offered() -> tuple[dict[str, dict[str, EntryPoint]], list[RecipeError]]:
    """For each name, the packages that register it, ours alone where that is one; and what is refused at that."""
    entries, damaged = registered(GROUP)
    errors = [package.error for package in damaged]
    offers: dict[str, dict[str, EntryPoint]] = {}
    for package, entry in sorted(entries, key=lambda offer: offer[0] != OWN):
        if package != OWN and OWN in offers.get(entry.name, {}):
            message = f"the format `{entry.name}` of {package} can't be used: it is a format of {OWN}"
            errors.append(fail("E081", message, help="its author has to name it otherwise"))
        else:
            offers.setdefault(entry.name, {})[package] = entry
    return offers, errors


def _load(name: str, offers: dict[str, EntryPoint]) -> Format:
    if len(offers) > 1:
        message = f"the format `{name}` is registered by {' and '.join(sorted(offers))}"
        raise fail("E081", message, help="uninstall one of them")
    ((package, entry),) = offers.items()

    def broken(why: str) -> RecipeError:
        help = f"the format `{name}` can't be used; others can"
        return fail("E080", f"the plugin {package} is broken: {why}", help=help)

    with importing_plugin(broken):
        format: object = entry.load()
    if not isinstance(format, Format):
        raise broken(f"`{name}` is no recipe.Format")
    if format.name.lower() != name:
        raise broken(f"it registers `{name}` for a format that declares itself as `{format.name}`")
    return attrs.evolve(format, package=package)
