"""What a process of its own sees of some tricks: whether they need torch, and what they print.

``python -m recipe.testing.isolated FILE`` reads jobs as JSON from standard input, and writes what it saw to a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from recipe.base.errors import RecipeError
from recipe.base.source import Source
from recipe.plan.bind import bind
from recipe.plugins.vocabulary import Vocabulary, key_of


@attrs.frozen
class Job:
    """A trick to load, and a recipe to bind with it; without texts it is loaded alone."""

    word: str
    layers: tuple[str, ...] = ()


@attrs.frozen
class Seen:
    """What loading a trick, and checking a recipe with it, did."""

    word: str
    torch: bool
    printed: str
    digest: str | None
    """The digest of the plan; None where the recipe does not bind."""


def look(jobs: Sequence[Job], plugins: Sequence[Path]) -> list[Seen]:
    """What another process sees; a new one goes on after a trick that imports torch, to tell of the others."""
    found: list[Seen] = []
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "seen.json"  # a file, since plugins may print wherever they like, and when Python ends
        while len(found) < len(jobs):
            given = json.dumps([[str(path) for path in plugins], [attrs.astuple(job) for job in jobs[len(found) :]]])
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            command = [sys.executable, "-m", "recipe.testing.isolated", str(told)]
            done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment)
            try:
                found += [Seen(*one) for one in json.loads(told.read_text("utf-8"))]
            except (OSError, ValueError):
                raise RuntimeError(f"the process that checks recipes failed:\n{done.stderr}") from None
            told.unlink()
    return found


def main(told: Path) -> None:
    plugins, jobs = json.load(sys.stdin)
    found: list[Seen] = []
    with _printed() as printed:
        words = Vocabulary.installed(Path(path) for path in plugins)
        for word, layers in jobs:
            digest = _digest(words, word, layers)
            found.append(Seen(word, "torch" in sys.modules, printed(), digest))
            if "torch" in sys.modules:
                break
    told.write_text(json.dumps([attrs.astuple(one) for one in found]), "utf-8")


def _digest(words: Vocabulary, word: str, layers: Sequence[str]) -> str | None:
    kinds = ("file", *["override"] * len(layers))
    sources = [Source("<recipe>", text, Path.cwd(), kind) for text, kind in zip(layers, kinds, strict=False)]
    try:
        words.load(*key_of(word))
        return bind(sources, words).digest if sources else None
    except RecipeError:
        return None


@contextlib.contextmanager
def _printed() -> Iterator[Callable[[], str]]:
    """A context whose function gives what went to standard output, by whatever way, since it was last asked."""
    kept = os.dup(1)
    with tempfile.TemporaryFile("w+b") as file:
        os.dup2(file.fileno(), 1)
        read = 0

        def printed() -> str:
            nonlocal read
            sys.stdout.flush()
            file.seek(read)
            text = file.read()
            read += len(text)
            return text.decode(errors="replace")

        try:
            yield printed
        finally:
            os.dup2(kept, 1)
            os.close(kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
