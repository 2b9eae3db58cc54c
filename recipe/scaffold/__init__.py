"""Writing a new plugin package from the templates beside this file. Needs no torch."""

from __future__ import annotations

import re
from importlib import metadata, resources
from pathlib import Path, PurePosixPath

import attrs

from recipe.base import files
from recipe.base.errors import fail
from recipe.plugins.trick import API_VERSION
from recipe.plugins.vocabulary import Vocabulary

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TEMPLATES = "plugin"


@attrs.frozen
class Names:
    """What a new package and what is in it are called."""

    distribution: str
    """The package as pip knows it: ``recipe-shine``."""

    @classmethod
    def of(cls, name: str, vocabulary: Vocabulary) -> Names:
        """The names that follow from what was asked for. Raises `RecipeError` (E123) for one that can't be had."""
        if not NAME.fullmatch(name) or len(name) > 60:
            help = (
                "such as `shine` or `recipe-shine`: small letters, digits and single hyphens, beginning with a letter"
            )
            raise fail("E123", f"`{name}` is no name for a package", help=help)
        made = cls(name if name.startswith("recipe-") else f"recipe-{name}")
        if not NAME.fullmatch(made.word):
            raise fail("E123", f"`{name}` leaves no word for a trick", help="a letter follows after `recipe-`")
        if any(metadata.Distribution.discover(name=made.distribution)):
            raise fail("E123", f"a package `{made.distribution}` is installed already", help="take another name")
        for verb in ("tweak", "augment"):
            if vocabulary.has(verb, made.word):
                raise fail("E123", f"`{verb} {made.word}` is a trick already", help="take another name")
        return made

    @property
    def word(self) -> str:
        """What its tricks are called after their verbs: ``tweak shine``."""
        return self.distribution.removeprefix("recipe-")

    @property
    def module(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def stem(self) -> str:
        """The end of the names of its files: ``tweak_shine.py``."""
        return self.word.replace("-", "_")

    @property
    def title(self) -> str:
        """The end of the names of its classes: ``TweakShine``."""
        return "".join(part.capitalize() for part in self.word.split("-"))


def write_plugin(name: str, folder: Path | None, vocabulary: Vocabulary) -> tuple[Path, list[Path]]:
    """Write a new package, into a folder that must not be there or be empty (else E123); gives it and its files."""
    from jinja2 import Environment, StrictUndefined

    names = Names.of(name, vocabulary)
    root = folder or Path(names.distribution)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise fail("E123", f"`{root}` is there already", help="name another folder with --out; nothing was written")
    made = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    written = []
    for place, text in _templates():
        path = root / place.replace("package/", f"{names.module}/").replace("NAME", names.stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, made.from_string(text).render(names=names, api_version=API_VERSION))
        written.append(path)
    return root, written


def _templates() -> list[tuple[str, str]]:
    """The place of every file in the package and its template."""
    root = Path(str(resources.files("recipe.scaffold") / TEMPLATES))
    found = sorted(root.rglob("*.jinja"))
    places = [PurePosixPath(path.relative_to(root).as_posix()).with_suffix("") for path in found]
    return [(str(place), path.read_text("utf-8")) for place, path in zip(places, found, strict=True)]
