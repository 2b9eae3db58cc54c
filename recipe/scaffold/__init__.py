"""Write a new plugin package from the templates in this folder. Doesn't import torch."""

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
    """Write a new package to a new or empty folder (E123 otherwise), and return the folder and its files."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    names = _names(name, vocabulary)
    root = folder or Path(names["distribution"])
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise fail("E123", f"`{root}` already exists", help="choose another folder with --out; nothing was written")
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
    """Return the names of a new package and its contents. Raises `RecipeError` (E123) if the name is unavailable."""
    if not NAME.fullmatch(name) or len(name) > 60:
        help = "use lowercase letters, digits and single hyphens, starting with a letter: `shine` or `recipe-shine`"
        raise fail("E123", f"`{name}` is not a valid package name", help=help)
    word = name.removeprefix("recipe-")
    distribution = f"recipe-{word}"
    if not NAME.fullmatch(word):
        raise fail("E123", f"`{name}` has no valid word for a trick", help="put a letter after `recipe-`")
    if any(metadata.Distribution.discover(name=distribution)):
        raise fail("E123", f"the package `{distribution}` is already installed", help="choose another name")
    for verb in ("tweak", "augment"):
        if vocabulary.has(verb, word):
            raise fail("E123", f"the trick `{verb} {word}` already exists", help="choose another name")
    return {
        "distribution": distribution,
        "module": distribution.replace("-", "_"),
        "word": word,  # follows the verb in each trick
        "stem": word.replace("-", "_"),  # ends the file names
        "title": "".join(map(str.capitalize, word.split("-"))),  # ends the class names
    }
