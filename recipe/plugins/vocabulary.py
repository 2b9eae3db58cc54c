"""The vocabulary: which words installed packages register, found without importing any of them.

A trick registers through an entry point of the group ``recipe.tricks``, named by its words: ``lr`` or ``lr.warmup``.
Only the tricks that a recipe uses are imported, and what is wrong with one spoils only its own words.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from math import inf
from pathlib import Path

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.signals import Interrupted
from recipe.base.source import Span
from recipe.base.wording import first_line
from recipe.plugins.entry_points import Refused, registered
from recipe.plugins.sandbox import ImportTimeout, importing
from recipe.plugins.trick import API_VERSION, OWN, Declared, Trick

GROUP = "recipe.tricks"

DIRECTIVES = {
    "include": 'include "FILE": lay this recipe over another one of the same folder tree',
    "drop": "drop VERB [NAME]: take out what a layer below says",
    "dialect": "dialect paper|gluoncv|torchvision: choose the defaults where the published sources differ",
}
"""The verbs that the compiler itself understands."""

PLUGIN = "recipe_plugin_"
"""How the names of modules begin that are plugins' single files."""

Key = tuple[str, str | None]
"""A trick's verb and clause."""


def words_of(key: Key) -> str:
    """A trick's words as a recipe writes them: ``lr warmup``."""
    return " ".join(word for word in key if word)


def key_of(words: str) -> Key:
    """The verb and the clause of a trick's words."""
    verb, _, clause = words.partition(" ")
    return verb, clause or None


@attrs.frozen
class Offer:
    """A trick that a package offers, not loaded yet."""

    package: str
    entry: metadata.EntryPoint | None = None
    loaded: type[Trick] | None = None


class Vocabulary:
    """All words that are known, and the tricks behind them, loaded when first used.

    ``refused`` is what there would be beside them.
    """

    def __init__(self, offers: Iterable[tuple[Key, Offer]], damaged: Iterable[Refused] = ()) -> None:
        self._offers: dict[Key, list[Offer]] = {}
        for key, offer in offers:
            self._offers.setdefault(key, []).append(offer)
        self._loaded: dict[Key, type[Trick]] = {}
        self.refused = [*damaged]
        for key, several in self._offers.items():
            if ours := [offer for offer in several if offer.package == OWN]:
                self.refused += [_taken(key, offer.package) for offer in several if offer.package != OWN]
                self._offers[key] = ours

    @classmethod
    def installed(cls, plugins: Iterable[Path] = ()) -> Vocabulary:
        """What installed packages register, and the tricks of single plugin files.

        Raises `RecipeError` for a file that can't be used, or whose words are ours.
        """
        entries, damaged = registered(GROUP)
        offers = [(key_of(entry.name.replace(".", " ", 1)), Offer(package, entry)) for package, entry in entries]
        files = {path.resolve(): path for path in plugins}.values()  # each once
        _see_apart(files)
        words = cls([*offers, *(offer for path in files for offer in _from_file(path))], damaged)
        for path in map(str, files):  # to use our word in the place of theirs is not what was asked for
            for refused in words.refused:
                if refused.package == path:
                    raise refused.error
            for key in words.keys():  # noqa: SIM118
                if path in words.packages(key):
                    words._see_free(key, path)
        return words

    def keys(self) -> list[Key]:
        """Every word pair, verbs alone first."""
        return sorted(self._offers, key=lambda key: (key[0], key[1] or ""))

    def verbs(self) -> set[str]:
        return {verb for verb, _ in self._offers} | set(DIRECTIVES)

    def clauses(self, verb: str) -> set[str]:
        return {clause for known, clause in self._offers if known == verb and clause is not None}

    def has(self, verb: str, clause: str | None = None) -> bool:
        return (verb, clause) in self._offers

    def packages(self, key: Key) -> list[str]:
        """The packages, or files, that offer a trick."""
        return [offer.package for offer in self._offers[key]]

    def load(self, verb: str, clause: str | None, span: Span | None = None) -> type[Trick]:
        """The trick behind a verb and clause; raises `RecipeError` where it can't be used."""
        key = (verb, clause)
        if key not in self._loaded:
            word = words_of(key)
            offers = self._offers[key]
            self._see_free(key, offers[0].package, span)
            if len(offers) > 1:
                names = " and ".join(sorted(offer.package for offer in offers))
                file = next((offer.package for offer in offers if not offer.entry), None)
                help = "uninstall one of them" if file is None else f"leave out --plugin {file}, or rename its trick"
                raise fail("E081", f"`{word}` is registered by {names}", span, help=help)
            self._loaded[key] = self._import(word, offers[0], span)
        return self._loaded[key]

    def declared(self, verb: str, clause: str | None) -> Declared:
        """What a trick declares, with the package that offers it here; it is read where ours of its verb are."""
        declared = self.load(verb, clause).declared
        if self.is_ours((verb, clause)):
            return declared
        (package,) = self.packages((verb, clause))
        return attrs.evolve(declared, package=package, position=self.position(verb))

    def is_ours(self, key: Key) -> bool:
        """Whether a trick is one of this package."""
        return OWN in self.packages(key)

    def position(self, verb: str) -> float:
        """Where people read a verb in a recipe, as our tricks of it declare; infinite where none of them is ours."""
        ours = next((key for key in self._offers if key[0] == verb and self.is_ours(key)), None)
        return self.load(*ours).declared.position if ours else inf

    def in_reading_order(self) -> list[str]:
        """All verbs of tricks as people read them: ours by their positions, then the others by name."""
        return sorted({verb for verb, _ in self._offers}, key=lambda verb: (self.position(verb), verb))

    def _see_free(self, key: Key, package: str, span: Span | None = None) -> None:
        """Raise `RecipeError` for words of a package that the language has, or that our tricks of the verb take."""
        verb, clause = key
        if verb in DIRECTIVES:
            message = f"`{words_of(key)}` of {package} can't be used: `{verb}` is a word of the language itself"
            raise fail("E081", message, span)
        if clause is None or self.is_ours(key):
            return
        for ours in (other for other in self._offers if other[0] == verb and self.is_ours(other)):
            if self.load(*ours).declared.taking(clause):
                taken = f"`{clause}` is a value of `{words_of(ours)}`"
                message = f"`{words_of(key)}` of {package} can't be used: {taken}"
                raise fail("E081", message, span, help="its author has to name it otherwise")

    def _import(self, word: str, offer: Offer, span: Span | None) -> type[Trick]:
        def broken(why: str) -> RecipeError:
            help = f"`{word}` can't be used; the rest of the vocabulary can"
            return fail("E080", f"the plugin {offer.package} is broken: {why}", span, help=help)

        trick: object = offer.loaded
        if offer.entry is not None:
            with importing_plugin(broken):
                trick = offer.entry.load()
        if not (isinstance(trick, type) and issubclass(trick, Trick) and hasattr(trick, "declared")):
            raise broken(f"`{word}` is no class declared with @trick")
        if (version := getattr(trick, "api_version", API_VERSION)) != API_VERSION:
            raise broken(f"it was written for version {version} of the API, and this is {API_VERSION}")
        if trick.declared.word != word:
            raise broken(f"it registers `{word}` for a trick that declares itself as `{trick.declared.word}`")
        return trick


def _taken(key: Key, package: str) -> Refused:
    message = f"`{words_of(key)}` of {package} can't be used: it is a word of {OWN}"
    return Refused(package, words_of(key), fail("E081", message, help="its author has to name it otherwise"))


@contextlib.contextmanager
def importing_plugin(broken: Callable[[str], RecipeError]) -> Iterator[None]:
    """A context in which a plugin is imported; whatever it raises is told by ``broken``."""
    try:
        with importing():
            yield
    except (KeyboardInterrupt, Interrupted):  # somebody else's wish
        raise
    except BaseException as error:  # pytest.skip and sys.exit too
        raise broken(_said(error)) from error


def _said(error: BaseException) -> str:
    """What was raised, in a line; of a name that our API lacks, its version too."""
    if isinstance(error, ImportTimeout):
        return str(error)
    if isinstance(error, ImportError) and error.name == "recipe.api" and not isinstance(error, ModuleNotFoundError):
        return f"{str(error).partition(' (')[0]}, of which this is version {API_VERSION}"
    return first_line(error)


def _see_apart(files: Iterable[Path]) -> None:
    """Raise `RecipeError` where two files name modules beside them that have one name: both would get the first's."""
    by_name: dict[str, Path] = {}
    for path in (path for path in files if path.is_file()):
        named = {*re.findall(r"\w+", path.read_text("utf-8", "replace"))} - {path.stem}
        for beside in (file for file in sorted(path.resolve().parent.glob("*.py")) if file.stem in named):
            other = by_name.setdefault(beside.stem, beside)
            if other != beside:
                message = f"`{other}` and `{beside}` have one name, and Python imports one module of a name"
                raise fail("E080", message, help=f"rename the one that {path} imports")


def _from_file(path: Path) -> list[tuple[Key, Offer]]:
    """The tricks of one plugin file; the user named it, so its code may run."""
    name = f"{PLUGIN}{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{digest(str(path.resolve()).encode())[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file():
        raise fail("E080", f"there is no file `{path}`")
    if spec is None or spec.loader is None:
        raise fail("E080", f"`{path}` is no Python file", help="a file with tricks is a .py file")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)  # last, where what lies beside the file is found and hides nothing
    with importing_plugin(lambda why: fail("E080", f"the plugin {path} is broken: {why}")):
        spec.loader.exec_module(module)
    own = (v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__)
    tricks = list(dict.fromkeys(v for v in own if issubclass(v, Trick) and "declared" in vars(v)))
    if not tricks:
        raise fail("E080", f"the plugin {path} declares no trick", help="decorate a class with recipe.api.trick")
    return [(key_of(trick.declared.word), Offer(str(path), loaded=trick)) for trick in tricks]
