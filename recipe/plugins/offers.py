"""Objects that packages register in a group of entry points, such as export formats and trackers, by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Generic, TypeVar

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import how_to_install, listing
from recipe.plugins.declared import OWN
from recipe.plugins.entry_points import registered
from recipe.plugins.vocabulary import importing_plugin


@attrs.frozen
class Offer:
    """What a package registers: the base of `recipe.Format` and `recipe.Tracker`."""

    name: str
    """Its name. In lower case, it is the name of the entry point and the value of ``--to``."""
    needs: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    """The names of the modules that it imports when it is used."""
    install: str = attrs.field(default="", kw_only=True)
    """The pip requirement for those modules if it differs from their names."""
    package: str = attrs.field(default="", kw_only=True)
    """The package that provides it, set when it is loaded."""

    @property
    def absent(self) -> list[str]:
        """The required modules that are not installed."""
        return [name for name in self.needs if find_spec(name) is None]

    def check_installed(self, work: str, code: str) -> None:
        """Raise a `RecipeError` with this code, which says what ``work`` requires, if a module is not installed."""
        if absent := self.absent:
            help = how_to_install(self.install or absent[0])
            raise fail(code, f"{work} requires the package `{absent[0]}`", help=help)


T = TypeVar("T", bound=Offer)


@attrs.frozen
class Offers(Generic[T]):
    """What packages register in a group. The built-in ones register in the same way, and no other can take their names.

    Nothing is imported before it is loaded.
    """

    group: str
    """The group of entry points, such as ``recipe.trackers``."""
    kind: type[T]
    """The class of the objects. In lower case, the ``name`` of each is that of its entry point."""
    what: str
    """What they are, such as ``tracker``."""
    code: str
    """The code of the error for an unknown name."""

    def find(self, name: str) -> T:
        """Return an object by name. Raises `RecipeError` if it is unknown or can't be used (E080, E081)."""
        offers, _ = self._offered()
        if name not in offers:
            raise fail(self.code, f"unknown {self.what} `{name}`", help=f"use one of {listing(offers)}")
        return self._load(name, offers[name])

    def installed(self) -> tuple[dict[str, T], list[RecipeError]]:
        """Return the usable objects by name, and an error for each of the others."""
        offers, errors = self._offered()
        usable = {}
        for name, several in sorted(offers.items()):
            try:
                usable[name] = self._load(name, several)
            except RecipeError as error:
                errors.append(error)
        return usable, errors

    def _offered(self) -> tuple[dict[str, dict[str, EntryPoint]], list[RecipeError]]:
        """Return the packages that register each name, only ours if it is built in, and errors of rejected ones."""
        entries, damaged = registered(self.group)
        errors = [package.error for package in damaged]
        offers: dict[str, dict[str, EntryPoint]] = {}
        for package, entry in sorted(entries, key=lambda offer: offer[0] != OWN):
            if package != OWN and OWN in offers.get(entry.name, {}):
                taken = f"{OWN} has a {self.what} of this name"
                message = f"the {self.what} `{entry.name}` of {package} can't be used: {taken}"
                errors.append(fail("E081", message, help="ask its author to rename it"))
            else:
                offers.setdefault(entry.name, {})[package] = entry
        return offers, errors

    def _load(self, name: str, offers: dict[str, EntryPoint]) -> T:
        if len(offers) > 1:
            message = f"the {self.what} `{name}` is registered by {' and '.join(sorted(offers))}"
            raise fail("E081", message, help="uninstall one of them")
        ((package, entry),) = offers.items()

        def broken(why: str) -> RecipeError:
            help = f"use another {self.what}; only `{name}` is affected"
            return fail("E080", f"the plugin {package} is broken: {why}", help=help)

        with importing_plugin(broken):
            loaded: object = entry.load()
        if not isinstance(loaded, self.kind):
            raise broken(f"`{name}` is not a recipe.{self.kind.__name__}")
        if loaded.name.lower() != name:
            raise broken(f"it registers `{name}` for a {self.what} named `{loaded.name}`")
        return attrs.evolve(loaded, package=package)
