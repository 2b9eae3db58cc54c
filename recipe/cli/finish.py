"""``recipe finish``: end a training in progress early, with its results. Needs no torch."""

from __future__ import annotations

import time
from pathlib import Path

import click

from recipe.base.errors import RecipeError, fail
from recipe.base.printable import command_line, path_word, printable
from recipe.base.wording import near_file
from recipe.cli import completion
from recipe.language.recipe_input import LOCK
from recipe.runs.exclusive import user_of
from recipe.runs.reader import summary_of
from recipe.runs.records import FINISHED
from recipe.runs.requests import ask

POLL = 0.2
"""Seconds between two looks whether the training is over."""


@click.command("finish", short_help="End a training in progress early, with its results.")
@click.argument("run", metavar="RUN", shell_complete=completion.runs)
@click.option("--wait", is_flag=True, help="Wait until the training is over, and print its results.")
def command(run: str, wait: bool) -> None:
    """End a training in progress early, with its results.

    RUN is the run folder. After the current step, the training saves a checkpoint, evaluates, and writes its weights
    and its summary, whose status is `ended early`. Its exit code is 0. `recipe run --resume RUN` trains on to the end.

    \b
    End a training that another terminal or job has started:
        recipe finish runs/first
    """
    folder = Path(run)
    user = ask(folder)
    if not user:
        raise _nothing_to_finish(folder)
    click.echo(printable(f"asked {user} to end the run in {folder} after its current step, and to write its results"))
    if not wait:
        return
    while user_of(folder) == user:
        time.sleep(POLL)
    summary = summary_of(folder)
    if not summary:
        raise fail("E134", f"the training in `{folder}` stopped without results", help=_help(folder))
    from recipe.training.reporting import closing

    click.echo(closing(summary))


def _nothing_to_finish(folder: Path) -> RecipeError:
    """Return the error for a folder in which nothing trains."""
    if not folder.exists():
        help = near_file(folder) or "name the folder that `recipe run` printed"
        return fail("E134", f"the folder `{folder}` does not exist", help=help)
    summary = summary_of(folder)
    if not summary and not (folder / LOCK).is_file():
        help = "name the folder that `recipe run` printed"
        return fail("E134", f"`{folder}` is not a run folder: it has no recipe.lock", help=help)
    if not summary:
        return fail("E134", f"nothing is training in `{folder}`: its run has stopped", help=_help(folder))
    if summary["status"] == FINISHED:
        export = command_line("recipe", "export", path_word(folder), "--to", "FORMAT")
        return fail("E134", f"the run in `{folder}` has already finished", help=f"use it, for example: {export}")
    message = f"the run in `{folder}` has already ended early, after step {summary['steps']}"
    return fail("E134", message, help=f"use it as it is, or train it to its end: {_resume(folder)}")


def _help(folder: Path) -> str:
    """Return how to get the results of a run that has stopped."""
    return f"resume it: {_resume(folder)}; with --max-time 1s, it ends after one more step and writes its results"


def _resume(folder: Path) -> str:
    return command_line("recipe", "run", f"--resume={path_word(folder)}")
