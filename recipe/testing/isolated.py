"""Load tricks in a separate process to find out whether they import torch, and what they print.

``python -m recipe.testing.isolated SEEN PRINTED`` reads recipes as JSON from standard input and writes its observations
to the file SEEN. The caller redirects its standard output to the file PRINTED.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path

import attrs

from recipe.base.errors import RecipeError
from recipe.base.process import leave
from recipe.base.source import Source
from recipe.plan.bind import bind
from recipe.plugins.fingerprint import PACKAGE
from recipe.plugins.vocabulary import Vocabulary, key_of


@attrs.frozen
class Seen:
    """The side effects of loading a trick and checking a recipe with it."""

    torch: bool
    by: str
    """The line that imports torch, with its file and number, or empty."""
    printed: str
    digest: str | None
    """The digest of the plan, or None if the recipe does not bind."""


def layered(texts: Sequence[str]) -> list[Source]:
    """Return the sources of a recipe, each text applied on top of those before it."""
    return [Source("<recipe>", text, Path.cwd(), "override" if place else "file") for place, text in enumerate(texts)]


def look(recipes: Mapping[str, Sequence[str]], plugins: Sequence[Path]) -> dict[str, Seen]:
    """Load tricks in another process and return its observations by trick.

    ``recipes`` maps the words of a trick to the texts of a recipe. If there are no texts, the trick is only loaded.
    After a trick that imports torch, a new process handles the remaining ones.
    """
    seen: dict[str, Seen] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "seen.json"), Path(folder, "printed")
        while left := {word: texts for word, texts in recipes.items() if word not in seen}:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            command = [sys.executable, "-m", "recipe.testing.isolated", *map(str, files)]
            given = json.dumps([[str(path) for path in plugins], left])
            with files[1].open("wb") as printed:  # also catches output that bypasses sys.stdout
                done = subprocess.run(
                    command, input=given, stdout=printed, stderr=subprocess.PIPE, text=True, env=environment
                )
            try:
                seen |= {word: Seen(*told) for word, told in json.loads(files[0].read_text("utf-8")).items()}
            except (OSError, ValueError):
                raise RuntimeError(f"the process that checks recipes failed:\n{done.stderr}") from None
            files[0].unlink()
    return seen


class _Watch(MetaPathFinder):
    """Notices which line of a plugin imports torch, directly or through another package. It finds no module itself."""

    by = ""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name != "torch" or self.by:
            return
        frames = [frame for frame in traceback.extract_stack() if _is_plugin(frame.filename)]
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(Path(frames[0].filename).parent)]
        if own:
            self.by = f"`{own[-1].line}` ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})"


def _is_plugin(file: str) -> bool:
    """Whether a file is not one of the package's core, the standard library's or the interpreter's."""
    place, library = Path(file).resolve(), Path(os.__file__).resolve().parent
    if not place.is_file() or place.is_relative_to(PACKAGE.resolve()):
        return False
    return not place.is_relative_to(library) or "site-packages" in place.parts


def main(told: Path, output: Path) -> None:
    plugins, recipes = json.load(sys.stdin)
    sys.meta_path.insert(0, watch := _Watch())
    seen: dict[str, Seen] = {}
    read = 0
    words = Vocabulary.installed(plugins)
    for word, texts in recipes.items():
        digest = _digest(words, word, texts)
        sys.stdout.flush()
        printed = output.read_bytes()
        seen[word] = Seen("torch" in sys.modules, watch.by, printed[read:].decode(errors="replace"), digest)
        read = len(printed)
        if "torch" in sys.modules:
            break
    told.write_text(json.dumps({word: attrs.astuple(what) for word, what in seen.items()}), "utf-8")


def _digest(words: Vocabulary, word: str, texts: Sequence[str]) -> str | None:
    try:
        words.load(*key_of(word))
        return bind(layered(texts), words).digest if texts else None
    except RecipeError:
        return None


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
    leave(0)
