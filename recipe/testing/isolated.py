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
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from recipe.base.errors import RecipeError
from recipe.base.process import leave
from recipe.base.source import Source
from recipe.plan.bind import bind
from recipe.plugins.vocabulary import Vocabulary, key_of


@attrs.frozen
class Seen:
    """The side effects of loading a trick and checking a recipe with it."""

    torch: bool
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


def main(told: Path, output: Path) -> None:
    plugins, recipes = json.load(sys.stdin)
    seen: dict[str, Seen] = {}
    read = 0
    words = Vocabulary.installed([Path(path) for path in plugins])
    for word, texts in recipes.items():
        digest = _digest(words, word, texts)
        sys.stdout.flush()
        printed = output.read_bytes()
        seen[word] = Seen("torch" in sys.modules, printed[read:].decode(errors="replace"), digest)
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
