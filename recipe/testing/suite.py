"""The checks of a package's tricks, ready to be run one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.wording import did_you_mean, listing
from recipe.plugins.entry_points import normal
from recipe.plugins.sandbox import quiet
from recipe.plugins.trick import Trick
from recipe.plugins.vocabulary import GROUP, Key, Vocabulary, words_of
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.rules import CHECKS, rule

if TYPE_CHECKING:
    from recipe.testing.trick_under_test import TrickUnderTest


@attrs.frozen
class Check:
    """One check of one trick."""

    trick: str
    """The trick's words."""
    name: str
    _made: Callable[[], None] = attrs.field(repr=False)

    def run(self) -> None:
        """Make the check. Raises `Unmet`, an `AssertionError`, for what is wrong, and `Skipped` with a reason."""
        try:
            with quiet():
                self._made()
        except (Unmet, Skipped, RecipeError) as found:
            if isinstance(found, RecipeError):
                raise Unmet(f"`{self.trick}` can't be used:\n{found}") from found
            raise
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
    """Every check of every trick that a package offers: the name of an installed one, or the path of a plugin's file.

    ``only`` names the checks to make. What the kit can't guess is said by the word of a trick, or by that and the word
    of a field: ``company`` are statements in whose company it shows, ``values`` two values of a field, and
    ``elsewhere`` why an effect can't be seen here, and where it is held instead. Raises `RecipeError` for a package
    that offers no trick, and for a name that none of its tricks has.
    """
    if unknown := [name for name in only if name not in CHECKS]:
        raise fail("E001", f"there is no check `{unknown[0]}`", help=did_you_mean(unknown[0], CHECKS))
    words, keys = _offered(package)
    said = {"company": company or {}, "values": values or {}, "elsewhere": elsewhere or {}}
    refused = [one for one in words.refused if normal(one.package) == normal(str(package))]
    found = [Check(one.word or one.package, "loads", _raises(one.error)) for one in refused]
    tricks: dict[str, type[Trick]] = {}
    for key in keys:
        word = words_of(key)
        try:
            tricks[word] = words.load(*key)
        except RecipeError as error:
            found.append(Check(word, "loads", _raises(error)))
    _known(tricks, said)
    subjects = _subjects(words, tricks, said, (Path(package),) if _is_file(package) else ())
    for word in tricks:
        found += [Check(word, name, _of(subjects, word, name)) for name in CHECKS if not only or name in only]
    return found


def _is_file(package: str | Path) -> bool:
    return isinstance(package, Path) or package.endswith(".py")


def _offered(package: str | Path) -> tuple[Vocabulary, list[Key]]:
    """The vocabulary, and the keys of the package's own tricks."""
    if _is_file(package):
        words = Vocabulary.installed([Path(package)])
        return words, [key for key in words.keys() if str(package) in words.packages(key)]  # noqa: SIM118
    words = Vocabulary.installed()
    wanted = normal(str(package))
    keys = [key for key in words.keys() if wanted in map(normal, words.packages(key))]  # noqa: SIM118
    if not keys and wanted not in {normal(refused.package) for refused in words.refused}:
        names = sorted({name for key in words.keys() for name in words.packages(key)})  # noqa: SIM118
        help = did_you_mean(str(package), names, f"these do: {listing(names)}; or name a plugin's FILE.py")
        help += f"; tricks are entry points of the group `{GROUP}`"
        raise fail("E001", f"no installed package `{package}` offers tricks", help=help)
    return words, keys


def _subjects(
    words: Vocabulary, tricks: Mapping[str, type[Trick]], said: Mapping[str, Any], plugins: tuple[Path, ...]
) -> Callable[[], Mapping[str, TrickUnderTest]]:
    """The tricks under test, on one bench; made when they are first asked for, as that needs torch."""

    @cache
    def made() -> Mapping[str, TrickUnderTest]:
        from recipe.testing.harness import Harness
        from recipe.testing.trick_under_test import TrickUnderTest

        bench = Harness(words, **said, plugins=plugins, words=(*tricks,))
        return {word: TrickUnderTest(trick, bench) for word, trick in tricks.items()}

    return made


def _of(subjects: Callable[[], Mapping[str, TrickUnderTest]], word: str, name: str) -> Callable[[], None]:
    return lambda: rule(name)(subjects()[word])


def _raises(error: RecipeError) -> Callable[[], None]:
    def made() -> None:
        raise error

    return made


def _known(tricks: Mapping[str, type[Trick]], said: Mapping[str, Mapping[str, Any]]) -> None:
    """See that what the authors say is of a trick and a field that there are, so that nothing is said in vain."""
    names = {*tricks} | {f"{word} {field.word}" for word, trick in tricks.items() for field in trick.declared.fields}
    for what, told in said.items():
        for name in told:
            if name not in names:
                help = did_you_mean(name, names, "it is a trick's words, or these and a field's")
                raise fail("E001", f"{what} of `{name}`: the package has no such trick or field", help=help)
