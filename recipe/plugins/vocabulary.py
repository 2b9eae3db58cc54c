"""The vocabulary: the words that installed packages register, found without importing the packages.

A trick is registered as an entry point in the group ``recipe.tricks``, named by its words: ``lr`` or ``lr.warmup``.
Only the tricks that a recipe uses are imported, and an error in a trick only affects its own words.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from importlib.machinery import SourceFileLoader
from math import inf
from pathlib import Path
from types import CodeType

import attrs

from recipe.base.caller import is_command
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.public import public
from recipe.base.signals import Interrupted
from recipe.base.source import Span
from recipe.base.wording import first_line, near_file, system_reason
from recipe.plugins.declared import OWN, Declared
from recipe.plugins.entry_points import Refused, registered
from recipe.plugins.sandbox import ImportTimeout, importing
from recipe.plugins.trick import API_VERSION, Trick

GROUP = "recipe.tricks"

DIRECTIVES = {
    "include": 'include "FILE": apply this recipe on top of another one in the same folder tree',
    "drop": "drop VERB [NAME]: remove what a layer below states",
    "dialect": "dialect paper|gluoncv|torchvision: choose the defaults where the published sources differ",
}
"""The verbs that are part of the language itself."""

PLUGIN = "recipe_plugin_"
"""The prefix of the module names of single plugin files."""

Key = tuple[str, str | None]
"""A trick's verb and clause."""


def words_of(key: Key) -> str:
    """Return a trick's words as a recipe writes them: ``lr warmup``."""
    return " ".join(word for word in key if word)


def key_of(words: str) -> Key:
    """Return the verb and the clause of a trick's words."""
    verb, _, clause = words.partition(" ")
    return verb, clause or None


@attrs.frozen
class Offer:
    """A trick that a package offers, not yet loaded."""

    package: str
    entry: metadata.EntryPoint | None = None
    loaded: type[Trick] | None = None


class Vocabulary:
    """All known words and their tricks, which are loaded on first use."""

    def __init__(self, offers: Iterable[tuple[Key, Offer]], damaged: Iterable[Refused] = ()) -> None:
        self._offers: dict[Key, list[Offer]] = {}
        for key, offer in offers:
            self._offers.setdefault(key, []).append(offer)
        self._loaded: dict[Key, type[Trick]] = {}
        self.refused = [*damaged]
        """The words and packages that can't be used, each with a ``package``, a ``word`` and an ``error``."""
        for key, several in self._offers.items():
            if ours := [offer for offer in several if offer.package == OWN]:
                self.refused += [_taken(key, offer.package) for offer in several if offer.package != OWN]
                self._offers[key] = ours

    @classmethod
    @public()
    def installed(cls, plugins: Sequence[str | Path] = ()) -> Vocabulary:
        """Return the vocabulary of installed packages and of single plugin files.

        Args:
            plugins: The paths of Python files with tricks.

        Raises:
            RecipeError: If a file can't be used, or uses words of built-in tricks.
            TypeError: If an argument has the wrong type.
        """
        entries, damaged = registered(GROUP)
        offers = [(key_of(entry.name.replace(".", " ", 1)), Offer(package, entry)) for package, entry in entries]
        return cls(offers, damaged).extended(plugins)

    def extended(self, plugins: Iterable[str | Path]) -> Vocabulary:
        """Return a vocabulary that also has the tricks of single plugin files.

        Raises `RecipeError` for a file that can't be used, or that uses words of built-in tricks.
        """
        before = [(key, offer) for key, several in self._offers.items() for offer in several]
        known = {path.resolve() for path in self.files}
        named = {_resolved(Path(path)): Path(path) for path in plugins}  # each once
        files = [path for resolved, path in named.items() if resolved not in known]
        if not files:
            return self
        _see_apart([*known, *files])
        words = Vocabulary([*before, *(offer for path in files for offer in _from_file(path))], self.refused)
        for path in map(str, files):  # the user asked for these words, not the built-in ones
            for refused in words.refused:
                if refused.package == path:
                    raise refused.error
            for key in words.keys():  # noqa: SIM118
                if path in words.packages(key):
                    words._see_free(key, path)
        return words

    @property
    def files(self) -> tuple[Path, ...]:
        """The plugin files that it has tricks of."""
        packages = (offer.package for several in self._offers.values() for offer in several if offer.entry is None)
        return tuple(Path(package) for package in dict.fromkeys(packages) if os.path.isfile(package))

    def keys(self) -> list[Key]:
        """Return every verb and clause, sorted, with a verb's own trick before its clauses."""
        return sorted(self._offers, key=lambda key: (key[0], key[1] or ""))

    def verbs(self) -> set[str]:
        """Return all verbs, including those of the language itself: ``include``, ``drop`` and ``dialect``."""
        return {verb for verb, _ in self._offers} | set(DIRECTIVES)

    def clauses(self, verb: str) -> set[str]:
        """Return the clauses of a verb."""
        return {clause for known, clause in self._offers if known == verb and clause is not None}

    def has(self, verb: str, clause: str | None = None) -> bool:
        """Whether a package or file offers this trick, even if it can't be used."""
        return (verb, clause) in self._offers

    def packages(self, key: Key) -> list[str]:
        """Return the packages or files that offer a trick."""
        return [offer.package for offer in self._offers[key]]

    def load(self, verb: str, clause: str | None, span: Span | None = None) -> type[Trick]:
        """Return the trick of a verb and clause. Raises `RecipeError` if it can't be used."""
        key = (verb, clause)
        if key not in self._loaded:
            word = words_of(key)
            offers = self._offers[key]
            self._see_free(key, offers[0].package, span)
            if len(offers) > 1:
                names = " and ".join(sorted(offer.package for offer in offers))
                file = next((offer.package for offer in offers if not offer.entry), None)
                given = f"--plugin {file}" if is_command() else f"`{file}` from `plugins=`"
                help = "uninstall one of them" if file is None else f"remove {given}, or rename its trick"
                raise fail("E081", f"`{word}` is registered by {names}", span, help=help)
            self._loaded[key] = self._import(word, offers[0], span)
        return self._loaded[key]

    def declared(self, verb: str, clause: str | None) -> Declared:
        """Return what a trick declares, with the package that offers it here and the position of its verb."""
        declared = self.load(verb, clause).declared
        if self.is_ours((verb, clause)):
            return declared
        (package,) = self.packages((verb, clause))
        return attrs.evolve(declared, package=package, position=self.position(verb))

    def all_declared(self) -> list[Declared]:
        """Return what all tricks declare, in reading order. Tricks that can't be used are left out."""
        found = []
        for key in self.keys():
            with contextlib.suppress(RecipeError):
                found.append(self.declared(*key))
        return sorted(found, key=lambda declared: declared.reading_key)

    def renamed(self, verb: str) -> str | None:
        """Return the clause of a trick that a verb alone stood for in earlier releases, or None."""
        for clause in () if self.has(verb) else sorted(self.clauses(verb)):
            with contextlib.suppress(RecipeError):  # a broken trick doesn't affect the others of its verb
                if self.load(verb, clause).declared.formerly == verb:
                    return clause
        return None

    def is_ours(self, key: Key) -> bool:
        """Whether a trick is built in."""
        return OWN in self.packages(key)

    def position(self, verb: str) -> float:
        """Return a verb's position in the reading order, from its built-in tricks, or infinity if it has none."""
        ours = next((key for key in self._offers if key[0] == verb and self.is_ours(key)), None)
        return self.load(*ours).declared.position if ours else inf

    def in_reading_order(self) -> list[str]:
        """Return all verbs of tricks in reading order: built-in ones by position, then the others by name."""
        return sorted({verb for verb, _ in self._offers}, key=lambda verb: (self.position(verb), verb))

    def _see_free(self, key: Key, package: str, span: Span | None = None) -> None:
        """Raise `RecipeError` for words of a package that the language or a built-in trick of the verb already uses."""
        verb, clause = key
        if verb in DIRECTIVES:
            message = f"`{words_of(key)}` from {package} can't be used: `{verb}` is part of the language itself"
            raise fail("E081", message, span)
        if clause is None or self.is_ours(key):
            return
        for ours in (other for other in self._offers if other[0] == verb and self.is_ours(other)):
            if self.load(*ours).declared.taking(clause):
                taken = f"`{clause}` is a value of `{words_of(ours)}`"
                message = f"`{words_of(key)}` from {package} can't be used: {taken}"
                raise fail("E081", message, span, help="ask its author to rename it")

    def _import(self, word: str, offer: Offer, span: Span | None) -> type[Trick]:
        def broken(why: str) -> RecipeError:
            help = f"only `{word}` is unavailable; you can use all other words"
            return fail("E080", f"the plugin {offer.package} is broken: {why}", span, help=help)

        trick: object = offer.loaded
        if offer.entry is not None:
            with importing_plugin(broken):
                trick = offer.entry.load()
        if not (isinstance(trick, type) and issubclass(trick, Trick) and hasattr(trick, "declared")):
            raise broken(f"`{word}` is not a class declared with @trick")
        if (version := getattr(trick, "api_version", API_VERSION)) != API_VERSION:
            raise broken(f"it was written for version {version} of the API, but this is version {API_VERSION}")
        if trick.declared.word != word:
            raise broken(f"it registers `{word}`, but the trick is declared as `{trick.declared.word}`")
        return trick


def _taken(key: Key, package: str) -> Refused:
    message = f"`{words_of(key)}` from {package} can't be used: it is already a trick of {OWN}"
    return Refused(package, words_of(key), fail("E081", message, help="ask its author to rename it"))


@contextlib.contextmanager
def importing_plugin(broken: Callable[[str], RecipeError]) -> Iterator[None]:
    """A context for importing a plugin. Whatever it raises becomes the error that ``broken`` returns."""
    try:
        with importing():
            yield
    except (KeyboardInterrupt, Interrupted):  # not raised by the plugin
        raise
    except BaseException as error:  # pytest.skip and sys.exit too
        raise broken(_said(error)) from error


def _said(error: BaseException) -> str:
    """Return an exception as one line, with the version of the API if it lacks a name."""
    if isinstance(error, ImportTimeout):
        return str(error)
    if isinstance(error, ImportError) and error.name == "recipe.api" and not isinstance(error, ModuleNotFoundError):
        return f"{str(error).partition(' (')[0]} (version {API_VERSION})"
    return first_line(error)


def _resolved(path: Path) -> Path:
    """Return the absolute path of a plugin file. Raises `RecipeError` (E080) if it can't be one."""
    try:
        found = path.resolve(strict=True)
    except FileNotFoundError:
        raise fail("E080", f"file not found: `{path}`", help=near_file(path)) from None
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself is a RuntimeError before Python 3.13
        loop = isinstance(error, RuntimeError)
        reason = "its symbolic links form a loop" if loop else system_reason(error)
        raise fail("E080", f"the plugin `{path}` can't be read: {reason}") from None
    if not found.is_file():
        what = "a folder" if found.is_dir() else "not a regular file"
        raise fail("E080", f"the plugin `{path}` is {what}", help="name a Python file, FILE.py")
    if path.suffix != ".py":
        raise fail("E080", f"`{path}` is not a Python file", help="put the tricks in a .py file")
    return found


def _see_apart(files: Iterable[Path]) -> None:
    """Raise `RecipeError` if two files use sibling modules with the same name, since both would get the first one."""
    by_name: dict[str, Path] = {}
    for path in files:
        named = {*re.findall(r"\w+", path.read_text("utf-8", "replace"))} - {path.stem}
        for beside in (file for file in sorted(path.resolve().parent.glob("*.py")) if file.stem in named):
            other = by_name.setdefault(beside.stem, beside)
            if other != beside:
                message = f"`{other}` and `{beside}` have the same name, and Python can import only one of them"
                raise fail("E080", message, help=f"rename the one that {path} imports")


class _Source(SourceFileLoader):
    """Compiles a file each time. Python's cache takes an edit within a second that keeps the size for no edit."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _from_file(path: Path) -> list[tuple[Key, Offer]]:
    """Return the tricks of one plugin file. The user named it, so its code may run."""
    name = f"{PLUGIN}{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{digest(str(path.resolve()).encode())[:8]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Source(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)  # last, so that modules next to the file hide no others
    with importing_plugin(lambda why: fail("E080", f"the plugin {path} is broken: {why}")):
        spec.loader.exec_module(module)
    own = (v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__)
    tricks = list(dict.fromkeys(v for v in own if issubclass(v, Trick) and "declared" in vars(v)))
    if not tricks:
        raise fail("E080", f"the plugin {path} declares no trick", help="decorate a class with recipe.api.trick")
    return [(key_of(trick.declared.word), Offer(str(path), loaded=trick)) for trick in tricks]
