"""The checks of a package's tricks, ready to run one by one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import did_you_mean, listing
from recipe.plugins.entry_points import normal
from recipe.plugins.sandbox import quiet
from recipe.plugins.trick import Trick
from recipe.plugins.vocabulary import GROUP, Vocabulary, words_of
from recipe.testing.findings import Skipped, Unmet

if TYPE_CHECKING:
    from recipe.testing.trick_under_test import TrickUnderTest


CHECKS: Mapping[str, str] = {
    "docstring": "declaration",
    "light": "declaration",
    "canonical": "declaration",
    "conflicts": "declaration",
    "fields": "effects",
    "reversible": "effects",
    "no-op": "network",
    "parameters": "network",
    "shapes": "hooks",
    "batches": "hooks",
    "rates": "hooks",
    "deterministic": "effects",
    "spans": "spans",
    "resume": "resume",
    "compiles": "network",
    "devices": "hooks",
}
"""Every check in the order of execution, with its module in `recipe.testing.rules`."""


@attrs.frozen
class Check:
    """One check of one trick."""

    trick: str
    """The trick's words."""
    name: str
    """The check's name, a key of `CHECKS`, or ``loads`` if the trick can't be loaded."""
    _make: Callable[[], None] = attrs.field(repr=False)

    def run(self) -> None:
        """Run the check. Raises `Unmet`, an `AssertionError`, if it fails, and `Skipped` if it doesn't apply."""
        try:
            with quiet():
                self._make()
        except (Unmet, Skipped):
            raise
        except RecipeError as error:
            raise Unmet(f"`{self.trick}` can't be used:\n{error}") from error
        except (Exception, SystemExit) as error:
            raise Unmet(f"`{self.trick}` fails: {type(error).__name__}: {error}") from error

    def __str__(self) -> str:
        return f"{self.trick}: {self.name}"


def checks(
    package: str | Path,
    *,
    only: Collection[str] = (),
    company: Mapping[str, str] | None = None,
    values: Mapping[str, tuple[str, str]] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> list[Check]:
    """Return the checks of every trick in a package.

    Tricks and fields are named by their words: ``"tweak small"`` for a trick, ``"tweak small pool"`` for a field.

    Args:
        package: The name of an installed package, or the path of a plugin file, which ends in ``.py``.
        only: Names of the checks to return, from `CHECKS`. Defaults to all.
        company: Statements that a trick or a field needs to have an effect, by its words.
        values: Two values of a field, as recipes write them, by its words.
        elsewhere: Why the checks can't see an effect of a trick or a field, and where it is tested instead, by its
            words.

    Returns:
        The checks, trick by trick. Nothing is checked until you call their ``run``. A trick that can't be loaded has a
        single check, which fails.

    Raises:
        RecipeError: If the package offers no tricks, a check in ``only`` doesn't exist, or a mapping names a trick or a
            field that the package doesn't have.
    """
    if unknown := [name for name in only if name not in CHECKS]:
        raise fail("E001", f"unknown check `{unknown[0]}`", help=did_you_mean(unknown[0], CHECKS))
    is_file = isinstance(package, Path) or package.endswith(".py")
    plugins = (Path(package),) if is_file else ()
    name, form = (str(Path(package)), str) if is_file else (str(package), normal)
    vocabulary = Vocabulary.installed(plugins)
    tricks, unusable = _offered(vocabulary, name, form)
    names = {*tricks} | {f"{word} {field.word}" for word, trick in tricks.items() for field in trick.declared.fields}
    for what, said in {"company": company, "values": values, "elsewhere": elsewhere}.items():
        if unknown := [name for name in said or {} if name not in names]:
            help = did_you_mean(unknown[0], names, "use the words of a trick, or of a trick and one of its fields")
            message = f"`{what}` names `{unknown[0]}`, but the package has no such trick or field"
            raise fail("E001", message, help=help)

    @cache  # created for the first check that runs, because this imports torch, and listing checks should be quick
    def subjects() -> Mapping[str, TrickUnderTest]:
        from recipe.testing.harness import Harness
        from recipe.testing.trick_under_test import TrickUnderTest

        bench = Harness(vocabulary, company or {}, values or {}, elsewhere or {}, plugins, (*tricks,))
        return {word: TrickUnderTest(word, bench) for word in tricks}

    def make(word: str, name: str) -> None:
        rules = importlib.import_module(f"recipe.testing.rules.{CHECKS[name]}")
        getattr(rules, name.replace("-", "_"))(subjects()[word])

    chosen = [name for name in CHECKS if not only or name in only]
    return [
        *(Check(word, "loads", partial(_fail, error)) for word, error in unusable),
        *(Check(word, name, partial(make, word, name)) for word in tricks for name in chosen),
    ]


def _fail(error: RecipeError) -> NoReturn:
    raise error


def _offered(
    vocabulary: Vocabulary, package: str, form: Callable[[str], str]
) -> tuple[dict[str, type[Trick]], list[tuple[str, RecipeError]]]:
    """Return the usable tricks of a package, and the errors of the others. ``form`` normalizes package names."""

    def is_package(name: str) -> bool:
        return form(name) == form(package)

    refused = [offer for offer in vocabulary.refused if is_package(offer.package)]
    keys = [key for key in vocabulary.keys() if any(map(is_package, vocabulary.packages(key)))]  # noqa: SIM118
    if not (keys or refused):
        names = sorted({name for key in vocabulary.keys() for name in vocabulary.packages(key)})  # noqa: SIM118
        help = did_you_mean(package, names, f"use one of {listing(names)}, or the path of a plugin file, FILE.py")
        help += f"; packages register tricks in the entry point group `{GROUP}`"
        raise fail("E001", f"no installed package `{package}` offers tricks", help=help)
    tricks: dict[str, type[Trick]] = {}
    unusable = [(offer.word or offer.package, offer.error) for offer in refused]
    for key in keys:
        try:
            tricks[words_of(key)] = vocabulary.load(*key)
        except RecipeError as error:
            unusable.append((words_of(key), error))
    return tricks, unusable
