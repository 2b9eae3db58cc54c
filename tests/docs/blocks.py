"""The fenced blocks of a page are checked in order, each according to its language.

A comment directly before a block says how:

- ``<!-- not run: REASON -->``: the block is not checked.
- ``<!-- dry run -->``: `--dry-run` is added to every `recipe run` and `recipe ablate` of the block.
- ``<!-- sample -->``: the block is what the command before it prints, with other numbers.
- ``<!-- file: NAME -->``: the block is written to this file, which later blocks can use. Python is not run then.

All blocks of a page share a temporary folder; its Python blocks share a namespace too.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import re
import sys
import tomllib
import types
from collections.abc import Callable
from pathlib import Path

import attrs

from recipe.base.errors import RecipeError
from recipe.base.source import Source
from recipe.language.recipe_input import read
from recipe.plan.bind import bind
from recipe.plugins.vocabulary import Vocabulary
from tests.docs.markdown import Block, blocks
from tests.docs.scripts import commands, difference, sampled
from tests.docs.shell import Shell

NOTES = {"not run", "dry run", "file", "sample"}
TESTED = "test command"  # in README.md alone; CI runs it as it is written
FRAGMENT = {"E050"}
"""The codes of errors that a recipe without a model has."""


class Broken(AssertionError):
    """A block that does not do what its page says."""


@attrs.define
class Page:
    """A page whose blocks run: its name, its text, and where they run."""

    name: str
    text: str
    shell: Shell
    module: types.ModuleType = attrs.field(init=False)
    printed: str = ""
    """The output of the last command."""

    def __attrs_post_init__(self) -> None:
        self.module = types.ModuleType(f"page_{re.sub(r'[^a-z0-9]', '_', self.name.lower())}")

    def check(self) -> None:
        """Check all blocks. Raises `Broken`, which names the page and the line."""
        try:
            found = list(blocks(self.text))
        except ValueError as error:
            raise Broken(f"{self.name}: {error}") from error
        sys.modules[self.module.__name__] = self.module  # declarations of tricks look for their module
        try:
            for block in found:
                self._check(block)
        finally:
            del sys.modules[self.module.__name__]

    def _check(self, block: Block) -> None:
        language = block.language.split()[0]
        if language not in CHECKS:
            raise Broken(f"{self.name}:{block.line}: `{language}` is not one of {', '.join(sorted(CHECKS))}")
        for note in block.notes:
            name, _, said = (part.strip() for part in note.partition(":"))
            if name not in NOTES and not (name == TESTED and self.name == "README.md"):
                raise Broken(f"{self.name}:{block.line}: unknown comment `{name}`")
            if name in ("not run", "file") and not said:
                raise Broken(f"{self.name}:{block.line}: `{name}` needs {'a name' if name == 'file' else 'a reason'}")
        if block.note("not run") or block.note(TESTED) is not None:
            return
        if file := block.note("file"):
            path = self.shell.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        try:
            CHECKS[language](self, block)
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"{self.name}:{block.line}: {type(error).__name__}: {error}") from error

    def _python(self, block: Block) -> None:
        code = compile("\n" * block.line + block.text, self.name, "exec", dont_inherit=True)
        if block.note("file") is not None:
            return
        names = self.module.__dict__
        with contextlib.chdir(self.shell.folder):
            exec(code, names)
            for name in re.findall(r"^def (test_\w+)\(", block.text, re.M):
                names[name]()

    def _commands(self, block: Block) -> None:
        for command in commands(block.text, block.line + 1, console=block.language == "console"):
            text = command.text
            if block.note("dry run") is not None:
                text = re.sub(r"\brecipe +(run|ablate)\b", r"recipe \1 --dry-run", text)
            status, output = self.shell.run(text)
            self.printed = output
            where = f"{self.name}:{command.line}: `{command.text}`"
            if any(command.expected) and (differs := difference(command.expected, output)):
                raise Broken(f"{where} prints something else:\n{differs}")
            if status and not any(line.startswith("error") for line in command.expected):
                raise Broken(f"{where} exits with {status}:\n{output}")

    def _text(self, block: Block) -> None:
        if block.note("sample") is None:
            return
        if differs := difference(sampled(block.text), "\n".join(sampled(self.printed))):
            raise Broken(f"{self.name}:{block.line}: the command prints something else:\n{differs}")

    def _recipe(self, block: Block) -> None:
        file, folder = block.note("file"), self.shell.folder
        source = read(folder / file) if file else Source("<page>", block.text, folder)
        try:
            bind([source], Vocabulary.installed())
        except RecipeError as error:
            if {diagnostic.code for diagnostic in error.diagnostics} != FRAGMENT:
                raise

    def _ini(self, block: Block) -> None:
        configparser.ConfigParser().read_string(block.text)


CHECKS: dict[str, Callable[[Page, Block], object]] = {
    "console": Page._commands,
    "ini": Page._ini,
    "json": lambda _, block: json.loads(block.text),
    "python": Page._python,
    "recipe": Page._recipe,
    "sh": Page._commands,
    "text": Page._text,
    "toml": lambda _, block: tomllib.loads(block.text),
}
"""How a block of each language is checked."""


def page_of(path: Path, name: str, folder: Path, shims: Path) -> Page:
    """Return a page of the documentation, to run in a folder."""
    return Page(name, path.read_text("utf-8"), Shell(folder, shims))
