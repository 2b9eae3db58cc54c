"""The vocabulary: which words installed packages register, found without importing any of them.

A trick registers through an entry point of the group ``recipe.tricks``, named by its words: ``lr`` or ``lr.warmup``.
Only the tricks that a recipe uses are imported, and what is wrong with one spoils only its own words.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import attrs

from recipe.diagnostics import RecipeError, fail
from recipe.fields import digest
from recipe.guest import Endless, first_line, importing
from recipe.source import Span
from recipe.trick import API_VERSION, Trick

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


@attrs.frozen
class Offer:
    """A trick that a package offers, not loaded yet."""

    package: str
    entry: metadata.EntryPoint | None = None
    loaded: type[Trick] | None = None


class Vocabulary:
    """All words that are known, and the tricks behind them, loaded when first used."""

    def __init__(self, offers: Iterable[tuple[Key, Offer]]) -> None:
        self._offers: dict[Key, list[Offer]] = {}
        for key, offer in offers:
            self._offers.setdefault(key, []).append(offer)
        self._loaded: dict[Key, type[Trick]] = {}

    @classmethod
    def installed(cls, plugins: Iterable[Path] = ()) -> Vocabulary:
        """What installed packages register, and the tricks of single plugin files."""
        offers: list[tuple[Key, Offer]] = []
        for entry in metadata.entry_points(group=GROUP):
            verb, _, clause = entry.name.replace(" ", ".").partition(".")
            package = entry.dist.name if entry.dist else "an unnamed package"
            offers.append(((verb, clause or None), Offer(package, entry)))
        for path in {path.resolve(): path for path in plugins}.values():  # each once
            offers += _from_file(path)
        return cls(offers)

    def keys(self) -> list[Key]:
        """Every word pair, verbs alone first."""
        return sorted(self._offers, key=lambda key: (key[0], key[1] or ""))

    def verbs(self) -> set[str]:
        return {verb for verb, _ in self._offers} | set(DIRECTIVES)

    def clauses(self, verb: str) -> set[str]:
        return {clause for found, clause in self._offers if found == verb and clause is not None}

    def has(self, verb: str, clause: str | None = None) -> bool:
        return (verb, clause) in self._offers

    def packages(self, key: Key) -> list[str]:
        """The packages, or files, that offer a trick."""
        return [offer.package for offer in self._offers[key]]

    def load(self, verb: str, clause: str | None, span: Span | None = None) -> type[Trick]:
        """The trick behind a verb and clause; raises `RecipeError` where it can't be used."""
        key = (verb, clause)
        if key not in self._loaded:
            word = verb if clause is None else f"{verb} {clause}"
            offers = self._offers[key]
            if verb in DIRECTIVES:
                message = f"`{word}` of {offers[0].package} can't be used: `{verb}` is a word of the language itself"
                raise fail("E081", message, span)
            if len(offers) > 1:
                names = " and ".join(sorted(offer.package for offer in offers))
                help = "uninstall one of them" if all(offer.entry for offer in offers) else "leave out that file"
                raise fail("E081", f"`{word}` is registered by {names}", span, help=help)
            self._loaded[key] = self._import(word, offers[0], span)
        return self._loaded[key]

    def _import(self, word: str, offer: Offer, span: Span | None) -> type[Trick]:
        def broken(why: str) -> RecipeError:
            help = f"`{word}` can't be used; the rest of the vocabulary can"
            return fail("E080", f"the plugin {offer.package} is broken: {why}", span, help=help)

        found: object = offer.loaded
        if offer.entry is not None:
            try:
                with importing():
                    found = offer.entry.load()
            except Endless as error:
                raise broken(str(error)) from error
            except (Exception, SystemExit) as error:
                raise broken(_said(error)) from error
        if not (isinstance(found, type) and issubclass(found, Trick) and hasattr(found, "declared")):
            raise broken(f"`{word}` is no class declared with @trick")
        if (version := getattr(found, "api_version", API_VERSION)) != API_VERSION:
            raise broken(f"it was written for version {version} of the API, and this is {API_VERSION}")
        if found.declared.word != word:
            raise broken(f"it registers `{word}` for a trick that declares itself as `{found.declared.word}`")
        found.declared = attrs.evolve(found.declared, package=offer.package)
        return found


def _said(error: BaseException) -> str:
    """What was raised, in a line; of a name that our API lacks, its version too."""
    if isinstance(error, ImportError) and error.name == "recipe.api" and not isinstance(error, ModuleNotFoundError):
        return f"{str(error).partition(' (')[0]}, of which this is version {API_VERSION}"
    return first_line(error)


def _from_file(path: Path) -> list[tuple[Key, Offer]]:
    """The tricks of one plugin file; the user named it, so its code may run."""
    name = f"{PLUGIN}{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{digest(str(path.resolve()).encode())[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise fail("E080", f"`{path}` is no Python file", help="--plugin takes the path of a .py file")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)  # last, where what lies beside the file is found and hides nothing
    try:
        with importing():
            spec.loader.exec_module(module)
    except Endless as error:
        raise fail("E080", f"the plugin {path} is broken: {error}") from error
    except (Exception, SystemExit) as error:
        raise fail("E080", f"the plugin {path} is broken: {_said(error)}") from error
    own = (v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__)
    found = list(dict.fromkeys(v for v in own if issubclass(v, Trick) and "declared" in vars(v)))
    if not found:
        raise fail("E080", f"the plugin {path} declares no trick", help="decorate a class with recipe.api.trick")
    for cls in found:
        if cls.declared.verb in DIRECTIVES:
            message = (
                f"`{cls.declared.word}` of {path} can't be used: `{cls.declared.verb}` is a word of the language itself"
            )
            raise fail("E081", message)
    return [((cls.declared.verb, cls.declared.clause), Offer(str(path), loaded=cls)) for cls in found]
