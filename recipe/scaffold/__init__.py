"""Writing a new plugin package from the templates beside this file. Needs no torch."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from recipe.base import files
from recipe.base.errors import fail
from recipe.plugins.trick import API_VERSION
from recipe.plugins.vocabulary import Vocabulary

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_plugin(name: str, folder: Path | None, vocabulary: Vocabulary) -> tuple[Path, list[Path]]:
    """Write a new package, into a folder that must not be there or be empty (else E123); gives it and its files."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    names = _names(name, vocabulary)
    root = folder or Path(names["distribution"])
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise fail("E123", f"`{root}` is there already", help="name another folder with --out; nothing was written")
    loader = PackageLoader("recipe.scaffold", "plugin")
    templates = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)
    written = []
    for template in templates.list_templates(["jinja"]):
        place = template.replace("package/", f"{names['module']}/").replace("NAME", names["stem"])
        path = root / place.removesuffix(".jinja")
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, templates.get_template(template).render(names=names, api_version=API_VERSION))
        written.append(path)
    return root, written


def _names(name: str, vocabulary: Vocabulary) -> dict[str, str]:
    """What a new package and what is in it are called. Raises `RecipeError` (E123) for a name that is unavailable."""
    if not NAME.fullmatch(name) or len(name) > 60:
        help = "such as `shine` or `recipe-shine`: small letters, digits and single hyphens, beginning with a letter"
        raise fail("E123", f"`{name}` is no name for a package", help=help)
    word = name.removeprefix("recipe-")
    distribution = f"recipe-{word}"
    if not NAME.fullmatch(word):
        raise fail("E123", f"`{name}` leaves no word for a trick", help="a letter follows after `recipe-`")
    if any(metadata.Distribution.discover(name=distribution)):
        raise fail("E123", f"a package `{distribution}` is installed already", help="take another name")
    for verb in ("tweak", "augment"):
        if vocabulary.has(verb, word):
            raise fail("E123", f"`{verb} {word}` is a trick already", help="take another name")
    return {
        "distribution": distribution,
        "module": distribution.replace("-", "_"),
        "word": word,  # of its tricks, after their verbs
        "stem": word.replace("-", "_"),  # ends the names of its files
        "title": "".join(map(str.capitalize, word.split("-"))),  # ends the names of its classes
    }
