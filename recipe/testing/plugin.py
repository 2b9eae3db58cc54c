"""The pytest plugin: ``--recipe-tricks NAME`` turns every check of every trick in a package into a test.

pytest imports this module in every session, so torch and the compiler are only imported when there are tricks to check.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from recipe.testing.suite import Check

ROOT = "recipe-tricks"
"""The prefix of the test names, as in ``recipe-tricks::tweak small::resume``."""

SAID = ("company", "values", "elsewhere")


class Hooks:
    """Hooks that a plugin's conftest.py may implement. See recipe.testing.checks for what each one returns."""

    @pytest.hookspec
    def pytest_recipe_company(self, config: pytest.Config) -> Mapping[str, str]:
        """Statements that a trick or a field needs to have an effect, by its words."""
        raise NotImplementedError

    @pytest.hookspec
    def pytest_recipe_values(self, config: pytest.Config) -> Mapping[str, tuple[str, str]]:
        """Two values for each field that the checks can't find values for, keyed by trick and field."""
        raise NotImplementedError

    @pytest.hookspec
    def pytest_recipe_elsewhere(self, config: pytest.Config) -> Mapping[str, str]:
        """Why the checks can't see an effect, and where it is tested instead, keyed by trick and field."""
        raise NotImplementedError


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "packages or plugin files whose tricks to check"
    group = parser.getgroup("recipe")
    help = "also check the tricks of this package or plugin file; can be repeated"
    group.addoption("--recipe-tricks", action="append", default=[], metavar="NAME", help=help)
    parser.addini("recipe_tricks", f"{text} if the command line names no test file", type="args", default=[])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Remove the names of these tests from the arguments, so that pytest doesn't look for them in files."""
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
    """Add a test for each check. Raises `pytest.UsageError` for a name on the command line that matches none."""
    from recipe.base.wording import did_you_mean

    wanted = config.stash.get(WANTED, [])
    names = [*config.getoption("--recipe-tricks")]
    if wanted or not config.stash.get(FILES, False):
        names += [name for name in config.getini("recipe_tricks") if name not in names]
    made = [*_made(session, names)] if names else []
    for node in wanted:
        if not any(_is_in(item, node) for item in made):
            known = [item.nodeid for item in made]
            help = did_you_mean(node, known, "run pytest with --collect-only to list the checks")
            raise pytest.UsageError(f"no check matches `{node}`; {help}")
    items += [item for item in made if not wanted or any(_is_in(item, node) for node in wanted)]


def _is_in(item: pytest.Item, node: str) -> bool:
    """Whether a test is a node, named on the command line, or below it."""
    return f"{item.nodeid}::".startswith(f"{node}::")


WANTED = pytest.StashKey[list[str]]()
FILES = pytest.StashKey[bool]()


def _made(session: pytest.Session, packages: Sequence[str]) -> Iterator[Item]:
    """Yield the tests for the tricks of some packages, trick by trick."""
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
    """A node in the tree of tests, for all tricks or for one trick."""

    def collect(self) -> Iterable[pytest.Item]:
        return ()


class Item(pytest.Item):
    """One check. A failure shows what is wrong and how to fix it, without a traceback."""

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
