"""The command line, one command per file. They are imported when they run or are listed; only some import torch."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from recipe.base import failure
from recipe.base.caller import commanding
from recipe.base.errors import Diverged, RecipeError, fail
from recipe.base.printable import printable
from recipe.base.process import ReaderLeft, staying
from recipe.base.rendering import render, wants_color
from recipe.base.signals import Interrupted, Terminated, asked
from recipe.base.wording import first_line, system_reason

GROUPS = {
    "Train": ("run", "finish", "runs", "log"),
    "Use what was trained": ("predict", "evaluate", "export"),
    "Find out what matters": ("ablate", "diff"),
    "Write recipes": ("tricks", "show", "explain", "check", "fmt"),
    "Write tricks": ("new", "test-plugin"),
    "Look at this machine": ("doctor",),
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""The system's errors for files that can't be written, which may lack a file name."""
COMPLETE = "_RECIPE_COMPLETE"
"""The environment variable with which a shell asks for completions, or for the script that asks for them."""
COMMANDS = tuple(name for names in GROUPS.values() for name in names)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            from recipe.cli.intended import command_for

            help = command_for(cmd_name, COMMANDS)
            ctx.fail(f"unknown command `{cmd_name}`" + (f"; {help}" if help else ""))
        command: click.Command = importlib.import_module(f"recipe.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, names in GROUPS.items():
            with formatter.section(title):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl(
                    [(f"{name:{width}}", each.get_short_help_str(80)) for name, each in commands if each]
                )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="recipe-compiler", prog_name="recipe")
def cli() -> None:
    """Compose, compare and train image classifiers from short recipes.

    A recipe names a model, the tricks to train it with, and a dataset. FILE is a path, `-` for standard input, a run
    folder, a shipped example such as `first`, or the text of a recipe.

    \b
    Train a small ResNet on real handwritten digits, in less than a minute on two cores:
        recipe run first

    \b
    Find out what that recipe does, and which other tricks there are:
        recipe explain first
        recipe tricks

    `recipe COMMAND --help` shows the options of a command, with an example.
    """


def _stop(status: int, message: str = "") -> NoReturn:
    if message:
        with contextlib.suppress(ReaderLeft):
            click.echo(message, err=True)
    sys.exit(status)


def _first_to_tell() -> bool:
    """Whether this process reports errors on behalf of all processes of the run."""
    if "torch" not in sys.modules or "RANK" not in os.environ:
        return True
    from recipe.devices.distributed import first_to_tell

    return first_to_tell()


def _failed(error: BaseException) -> NoReturn:
    """Report the error that a command failed with, and exit. Call it from an `except` block."""
    if (number := asked()) and not isinstance(error, RecipeError):  # it interrupted an import, which then failed
        _stop(128 + number)
    failed, told = error, True
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):  # rich exits then
        _stop(141)
    if isinstance(error, SystemExit):  # commands end with `Context.exit`
        why = f"code outside of `recipe` tried to end the process: {first_line(error)}"
        failed = fail("E080", why, help="remove the call of `exit` from the plugin, model or layer that this ran")
    elif isinstance(error, OSError) and (error.filename or error.errno in FULL):
        what = f"`{error.filename}` can't be used" if error.filename else "a file can't be written"
        failed = fail("E111", f"{what}: {system_reason(error)}")
    elif isinstance(error, RecipeError):
        told = _first_to_tell()
    if told:
        failure.leave(failed)
    if os.environ.get("RECIPE_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(failed, RecipeError):
        message = render(failed.diagnostics, wants_color(sys.stderr)) if told else ""
        _stop(3 if isinstance(failed, Diverged) else 2, message)
    hint = "help: set RECIPE_DEBUG=1 to see the traceback"
    _stop(70, f"internal error: {printable(first_line(error))}\n  {hint}")  # sysexits' EX_SOFTWARE


def _answered() -> int:
    """Answer a shell that asks for completions, and return the exit code."""
    from recipe.cli.completion import answer

    return answer(cli, COMPLETE)


def main() -> NoReturn:
    """Run the command line. Exit: 0 success, 1 findings, 2 bad recipe or usage, 3 diverged, 128 + n for signal n."""
    try:
        os.getcwd()
    except OSError:
        _stop(2, str(fail("E001", "the working directory no longer exists", help="change to a directory that exists")))
    try:
        with commanding(), staying():
            status = _answered() if COMPLETE in os.environ else cli.main(standalone_mode=False)
            sys.stdout.flush()
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption):
            from recipe.cli.intended import option_for

            error = option_for(error, sys.argv[1:])
        vars(error).update(message=printable(error.message))
        with contextlib.suppress(ReaderLeft):
            error.show(sys.stderr)
        _stop(2)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ or error
        _stop(128 + (cause.number if isinstance(cause, Terminated) else signal.SIGINT))
    except ReaderLeft:
        _stop(141)
    except Interrupted as error:
        _stop(128 + error.number, str(error) if _first_to_tell() else "")
    except BaseException as error:
        _failed(error)
    _stop(status if isinstance(status, int) else 0)
