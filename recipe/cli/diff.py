"""``recipe diff``: compare two recipes by meaning, graph, cost, weights and training."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import attrs
import click

from recipe.base.files import write_page
from recipe.base.printable import command_line
from recipe.base.rendering import wants_color
from recipe.base.source import Source
from recipe.cli import completion
from recipe.cli.inputs import joined_statements, plugin_option, source_of, tell_changes, tell_environments, vocabulary
from recipe.compare.api import diff
from recipe.compare.results import results_of
from recipe.language.recipe_input import LOCK, examples, names_file, override
from recipe.plan.bind import bind
from recipe.runs.recipe_lock import plan_of


@click.command("diff", short_help="Compare two recipes.")
@click.argument(
    "sides", nargs=-1, required=True, metavar="A [+ STATEMENTS] [B [+ STATEMENTS]]", shell_complete=completion.sides
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/reference/json.md lists the fields.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write a self-contained HTML page.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if the recipes differ.")
@click.option(
    "--measure",
    is_flag=True,
    help="Also time training steps of both recipes, in alternation.",
)
@click.option(
    "--device",
    metavar="DEVICE",
    help="With --measure: the device, such as cpu or cuda:1. Default: the first CUDA device, or the CPU.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="When to print in color.",
)
@plugin_option
def command(
    sides: tuple[str, ...],
    as_json: bool,
    html: Path | None,
    exit_code: bool,
    measure: bool,
    device: str | None,
    color: str,
    plugins: tuple[str, ...],
) -> None:
    """Compare two recipes by what they mean, not by their text.

    Shows differences in tricks and values, in the graph, in costs, in the weights that a checkpoint of A can load
    into B, and in training. A and B are each a path, `-`, a run folder, a shipped example, or the text of a recipe.

    \b
    Compare two files, or a recipe with and without some statements:
        recipe diff a.recipe b.recipe
        recipe diff full + "drop tweak D"
        recipe diff a.recipe + "batch 512" b.recipe + "epochs 90"

    The statements after `+` override the recipe before it.
    """
    if device is not None and not measure:
        raise click.UsageError("--device requires --measure")
    words = vocabulary(plugins)
    (file_a, over_a), (file_b, over_b) = _sides(sides, words.verbs())
    source_a = source_of(file_a, words.verbs())
    source_b = source_a if file_b == file_a else source_of(file_b, words.verbs())
    plan_a = (None if over_a else plan_of(source_a, words)) or bind([source_a, *override(over_a)], words)
    plan_b = (None if over_b else plan_of(source_b, words)) or bind([source_b, *override(over_b)], words)
    tell_changes(source_a, plan_a)
    if source_b is not source_a:
        tell_changes(source_b, plan_b)
    tell_environments(source_a, source_b)
    difference = diff(plan_a, plan_b, plugins=words, names=(_name(file_a, over_a), _name(file_b, over_b)))
    folders = _run_folder(source_a, over_a), _run_folder(source_b, over_b)
    if folders[0] and folders[1]:
        difference = attrs.evolve(difference, results=results_of(folders[0], folders[1]))
    if measure:
        from recipe.compare.measure import measure as timed

        difference = attrs.evolve(difference, measured=timed(plan_a, plan_b, device, plugins))
    if html is not None:
        write_page(html, difference.to_html())
    if as_json:
        click.echo(difference.to_json())
    else:
        colored = color == "always" or (color == "auto" and wants_color(sys.stdout))
        width = min(1000, shutil.get_terminal_size((100, 24)).columns)
        click.echo(difference.to_text(width, colored), nl=False, color=colored)
    click.get_current_context().exit(1 if exit_code and not difference.empty else 0)


def _run_folder(source: Source, over: tuple[str, ...]) -> Path | None:
    """Return the folder of a run if a side is one, without statements on top."""
    return source.path.parent if source.path is not None and source.path.name == LOCK and not over else None


def _sides(words: tuple[str, ...], verbs: Collection[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the two recipes, each with the statements that override it."""
    _check_quoted(words, verbs)
    sides: list[tuple[str, tuple[str, ...]]] = []
    rest = iter(words)
    for word in rest:
        if word != "+":
            sides.append((word, ()))
        elif sides and (statements := next(rest, None)) is not None:
            file, before = sides.pop()
            sides.append((file, (*before, statements)))
        else:
            raise click.UsageError('`+` goes between a recipe and its statements: a.recipe + "drop tweak D"')
    if len(sides) == 1 and sides[0][1]:
        sides.insert(0, (sides[0][0], ()))
    if len(sides) != 2:
        raise click.UsageError(f'diff takes two recipes, or one recipe and `+ "STATEMENTS"`, not {len(sides)}')
    return sides


def _check_quoted(words: Sequence[str], verbs: Collection[str]) -> None:
    """Raise `click.UsageError` if a statement lacks its quotes or the `+` before it: ``recipe diff A B epochs 3``."""
    sides, joined, follows, bare = list[list[str]](), list[str](), False, False
    for word in words:
        if follows:
            sides[-1].append(word)
        elif word == "+":
            follows = bool(sides)
            continue
        elif not sides or _names_recipe(word) or not (word in verbs or _begun(sides[-1])):
            sides.append([word])
        else:
            bare = True
            sides[-1].append(word)
        follows = False
    for side in sides:
        statements = joined_statements(side[1:], verbs)
        joined += [side[0], *(part for statement in statements for part in ("+", statement))]
    if bare and len(sides) <= 2:
        typed = command_line("recipe", "diff", *joined)
        raise click.UsageError(f"put `+` before each statement, and quotes around it: {typed}")


def _begun(side: Sequence[str]) -> bool:
    """Whether the last word of a recipe and its statements may be the first one of a statement without quotes."""
    return len(side) > 1 and len(side[-1].split()) == 1


def _names_recipe(word: str) -> bool:
    """Whether a word is the name or the text of a recipe, also next to statements without quotes."""
    return word == "-" or os.path.exists(word) or word in examples() or names_file(word) or len(word.split()) > 1


def _name(file: str, statements: tuple[str, ...]) -> str:
    shown = "standard input" if file == "-" else " ".join(file.split())
    return " + ".join([shown, *(f'"{text}"' if '"' not in text else shlex.quote(text) for text in statements)])
