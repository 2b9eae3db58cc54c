"""The pytest plugin: with ``--recipe-tricks NAME``, every check of every trick of a package is a test.

pytest imports it in every session, so it imports neither torch nor the compiler before there is something to check.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from recipe.testing.suite import Check

ROOT = "recipe-tricks"
"""What the names of these tests begin with: ``recipe-tricks::tweak small::resume``."""

SAID = ("company", "values", "elsewhere")


class Hooks:
    """What the conftest.py of a plugin's authors may say; recipe.testing.checks tells what each is."""

    @pytest.hookspec
    def pytest_recipe_company(self, config: pytest.Config) -> Mapping[str, str]:
        """Statements in whose company a trick or a field shows, by its words."""
        raise NotImplementedError

    @pytest.hookspec
    def pytest_recipe_values(self, config: pytest.Config) -> Mapping[str, tuple[str, str]]:
        """Two values for each field whose kind suggests none, by the words of trick and field."""
        raise NotImplementedError

    @pytest.hookspec
    def pytest_recipe_elsewhere(self, config: pytest.Config) -> Mapping[str, str]:
        """Why an effect can't be seen here, and where it is held instead, by the words of trick and field."""
        raise NotImplementedError


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "packages, or files of plugins, whose tricks are checked"
    group = parser.getgroup("recipe")
    group.addoption("--recipe-tricks", action="append", default=[], metavar="NAME", help=f"also test {text}")
    parser.addini("recipe_tricks", f"{text}, where the command line names no file", type="args", default=[])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Take the names of these tests out of what pytest looks for in files."""
    config = session.config
    kept = config.args
    wanted = [argument for argument in kept if argument.split("::")[0] == ROOT]
    config.stash[WANTED] = wanted
    config.stash[FILES] = any("::" in argument or argument.endswith(".py") for argument in kept)
    config.args = [argument for argument in kept if argument not in wanted]
    try:
        return (yield)
    finally:
        config.args = kept


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each check."""
    wanted = config.stash.get(WANTED, [])
    names = [*config.getoption("--recipe-tricks")]
    if wanted or not config.stash.get(FILES, False):
        names += [name for name in config.getini("recipe_tricks") if name not in names]
    made = _made(session, names) if names else ()
    items += [item for item in made if not wanted or any(f"{item.nodeid}::".startswith(f"{node}::") for node in wanted)]


WANTED = pytest.StashKey[list[str]]()
FILES = pytest.StashKey[bool]()


def _made(session: pytest.Session, packages: Sequence[str]) -> Iterator[Item]:
    """The tests of the tricks of some packages, trick by trick."""
    from recipe.base.errors import RecipeError
    from recipe.testing.suite import checks

    hooks = session.config.hook
    said: dict[str, Any] = {
        name: dict(ChainMap(*getattr(hooks, f"pytest_recipe_{name}")(config=session.config))) for name in SAID
    }
    try:
        every = [check for package in packages for check in checks(package, **said)]
    except RecipeError as error:
        raise pytest.UsageError(str(error)) from None
    root = Group.from_parent(session, name=ROOT, nodeid=ROOT)
    for trick in dict.fromkeys(check.trick for check in every):
        group = Group.from_parent(root, name=trick)
        yield from (Item.from_parent(group, name=check.name, check=check) for check in every if check.trick == trick)


class Group(pytest.Collector):
    """What tests are named after: all tricks, or one of them."""

    def collect(self) -> Iterable[pytest.Item]:
        return ()


class Item(pytest.Item):
    """One check; a failure shows what is wrong and what to do, and no traceback."""

    def __init__(self, check: Check, **options: Any) -> None:
        super().__init__(**options)
        self.check = check

    def runtest(self) -> None:
        from recipe.testing.findings import Skipped

        try:
            self.check.run()
        except Skipped as reason:
            pytest.skip(str(reason))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, str(self.check)
