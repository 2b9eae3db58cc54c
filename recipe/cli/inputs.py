"""Inputs of commands: a recipe as a path, a run folder, a shipped example, text, or standard input."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import click

from recipe.base.errors import RecipeError, fail
from recipe.base.printable import command_line, printable
from recipe.base.rendering import render
from recipe.base.source import MAX_BYTES, Source
from recipe.cli import completion
from recipe.language.ast import quoted
from recipe.language.recipe_input import LOCK, decode, is_run, source_from
from recipe.plan.meanings import meanings
from recipe.plan.plan import Plan
from recipe.plugins.trick import Trick
from recipe.plugins.vocabulary import Key, Vocabulary


def source_of(file: str, verbs: Collection[str] = ()) -> Source:
    """Return the source that FILE names: ``-``, a path, a run folder, a shipped example, or the text of a recipe.

    A single word is text if it is one of the known ``verbs``.
    """
    if file == "-":
        if sys.stdin is None:
            raise fail("E001", "standard input is closed", help="name a file, or pipe a recipe to the command")
        return decode(sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>", Path.cwd())
    if not file.strip():
        raise fail("E001", "the name of the recipe is empty", help="name a file or an example, or write a recipe")
    source = source_from(file, verbs)
    if source.path is not None and source.path.name == LOCK and os.path.isdir(file):
        tell_lost(file)
    return source


def check_quoted(file: str, statements: Sequence[str], vocabulary: Vocabulary) -> None:
    """Raise an error for what is no statement on the command line: one without its quotes, or a folder of images.

    A statement without its quotes, as in ``recipe run FILE epochs 3``, is a `click.UsageError`, a folder E020.

    Without them, each of its words is a statement. Two of a single word, such as ``compile ema``, are fine. Paths are
    put in quotes, too. The statements of a recipe without a file are a single text.
    """
    verbs = vocabulary.verbs()
    words = [file, *statements] if file in verbs else [*statements]
    joined = joined_statements(words, verbs)
    if len(joined) == len(words):
        for statement in statements:
            if statement not in verbs and os.path.isdir(statement):
                opens = meanings("image-folder", vocabulary)  # the trick declares that it is known as this
                data = command_line(f"{opens.tricks[0]} {quoted(statement)}") if opens else ""
                help = f"to use the images in it, write {data}" if data and not is_run(statement) else ""
                raise fail("E020", f"`{statement}` is a folder, not a statement", help=help)
        return
    typed = [with_quoted_paths(statement, vocabulary) for statement in joined]
    typed = ["; ".join(typed)] if file in verbs else [file, *typed]
    what = "the recipe" if file in verbs else "each statement"
    command = command_line("recipe", str(click.get_current_context().info_name), *typed)
    raise click.UsageError(f"put {what} in quotes: {command}")


def with_quoted_paths(statement: str, vocabulary: Vocabulary) -> str:
    """Return a statement with quotes around the words of which a trick only takes a path in quotes."""
    verb, *words = statement.split(" ")
    clause, position, written = None, 0, [verb]
    for word in words:
        if word in vocabulary.clauses(verb):
            clause, position = word, 0
        elif "=" not in word and '"' not in word:
            with contextlib.suppress(RecipeError, KeyError):
                kinds = [field.kind for field in vocabulary.declared(verb, clause).fields[position:]]
                if word[:1].isalpha() and kinds and kinds[0].expects.endswith("in quotes"):
                    word = word if kinds[0].takes_name(word) else f'"{word}"'
            position += 1
        written.append(word)
    return " ".join(written)


def joined_statements(words: Sequence[str], verbs: Collection[str]) -> list[str]:
    """Return the statements of a command line. Words without quotes, such as ``epochs 3``, are joined to statements."""
    groups, alone = list[list[str]](), False
    for word in (word.rstrip(",;") if len(word.split()) == 1 else word for word in words):
        first = word.split(maxsplit=1)[0] if word.split() else ""
        dropped = alone and groups[-1] == ["drop"]
        is_part = dropped or (alone and first not in verbs and (first == word or not first[:1].isalpha()))
        alone = is_part or first == word
        if is_part:
            groups[-1].append(f'"{word}"' if re.search(r"[/\\~]", word) and not re.search('["=]', word) else word)
        else:
            groups.append([word])
    return [*map(" ".join, groups)]


def check_names(files: Iterable[str]) -> None:
    """Raise `RecipeError` (E001) if standard input, which can be read only once, is named more than once."""
    if sum(file == "-" for file in files) > 1:
        raise fail("E001", "standard input is named more than once", help="write `-` once, and name the other files")


def tell_lost(folder: str) -> None:
    """Warn if a run used tricks of packages that are no longer installed."""
    from recipe.runs.reader import lost_packages

    if lost := lost_packages(Path(folder)):
        told = f"warning: the run in `{folder}` used packages that are not installed: {', '.join(lost)}"
        click.echo(printable(told), err=True)


def tell_changes(source: Source, plan: Plan) -> None:
    """Warn if a recipe is a run's lock that was edited, or if code of plugins or a teacher's recipe has changed."""
    if source.path is None or source.path.name != LOCK:
        return
    from recipe.plugins.fingerprint import code_by_package
    from recipe.runs.environment import changed_code, plugins_of
    from recipe.runs.reader import environment_of
    from recipe.runs.recipe_lock import changed_teachers, read_lock

    folder = source.path.parent
    before = environment_of(folder)
    changes = changed_code(before.plugins if before else (), plugins_of(code_by_package(plan.uses)))
    if lock := read_lock(folder):
        changes += ["recipe.lock has been edited"] if lock.edited else []
        changes += [f"the teacher `{path.name}`, whose recipe has changed" for path in changed_teachers(lock, plan)]
    if changes:
        said = f"warning: this differs from the run in `{folder.name}`: {'; '.join(changes)}"
        click.echo(printable(said), err=True)


def tell_environments(a: Source, b: Source) -> None:
    """Report what differs between the environments of two runs, if both recipes are the locks of runs."""
    if not (a.path and b.path and a.path.name == b.path.name == LOCK) or a.path == b.path:
        return
    from recipe.runs.environment import differences
    from recipe.runs.reader import environment_of

    environments = environment_of(a.path.parent), environment_of(b.path.parent)
    if environments[0] and environments[1] and (changes := differences(environments[0], environments[1])):
        said = f"note: the second run was made in another environment: {', '.join(changes)}"
        click.echo(printable(said), err=True)


def loaded(words: Vocabulary, keys: Iterable[Key]) -> tuple[list[tuple[type[Trick], str]], list[RecipeError]]:
    """Load the tricks with these words. Return each with its package, and the errors of those that fail to load."""
    tricks, errors = [], []
    for key in keys:
        try:
            tricks.append((words.load(*key), words.declared(*key).package))
        except RecipeError as error:
            errors.append(error)
    return tricks, errors


def tell_broken(errors: Iterable[RecipeError]) -> None:
    """Report the tricks that can't be used, below the output of a command."""
    for error in errors:
        click.echo(f"\n{render(error.diagnostics)}", err=True)


def vocabulary(plugins: tuple[str, ...]) -> Vocabulary:
    return Vocabulary.installed(plugins)


def stem(source: Source, otherwise: str) -> str:
    """Return the name of a recipe's file without its suffix, which names folders, or ``otherwise``.

    For the lock of a run, it is the name of the run's folder without its digest.
    """
    if source.path is not None and source.path.name == LOCK:
        return re.sub(r"-[0-9a-f]{8}(-\d+)?$", "", source.path.parent.name) or otherwise
    return Path(source.name).stem if source.kind == "file" and not source.name.startswith("<") else otherwise


plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE.py",
    help="Also load tricks from a Python file. Repeatable.",
    shell_complete=completion.files,
)
