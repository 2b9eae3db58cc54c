"""The command line, one command a file. Each is imported when it is called, and torch only by those that need it."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from recipe.base import failure
from recipe.base.errors import Diverged, RecipeError, fail
from recipe.base.rendering import render, wants_color
from recipe.base.signals import Interrupted, Terminated
from recipe.base.wording import did_you_mean, first_line, system_reason

COMMANDS = ("run", "check", "fmt", "explain", "diff", "ablate", "export", "tricks", "new", "test-plugin", "doctor")


@contextlib.contextmanager
def _reader_may_leave() -> Iterator[None]:
    """End with 141 where whoever read the output left; click would exit with 1, which means findings."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            ctx.fail(f"there is no command `{cmd_name}`{did_you_mean(cmd_name, COMMANDS, before='; ')}")
        command: click.Command = importlib.import_module(f"recipe.cli.{cmd_name.replace('-', '_')}").command
        return command

    @_reader_may_leave()  # of what --help prints
    def make_context(self, *args: Any, **options: Any) -> click.Context:
        return super().make_context(*args, **options)

    @_reader_may_leave()
    def invoke(self, ctx: click.Context) -> object:
        return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="recipe-compiler", prog_name="recipe")
def cli() -> None:
    """Compose training tricks for image classifiers in small recipes; compile, compare and train them.

    Begin with `recipe run quick "epochs 2"`, or with `recipe tricks` for the vocabulary.
    """


def _stop(status: int, message: str = "") -> NoReturn:
    if message:
        click.echo(message, err=True)
    sys.exit(status)


def _first_to_tell() -> bool:
    """Whether this process is the one to speak, of several that train together."""
    if "torch" not in sys.modules or "RANK" not in os.environ:
        return True
    from recipe.devices.distributed import first_to_tell

    return first_to_tell()


def _failed(error: Exception) -> NoReturn:
    """End with what a command failed with; called where that is handled."""
    failed, told = error, True
    if isinstance(error, OSError):
        where = f"`{error.filename}`" if error.filename else "the output"
        failed = fail("E111", f"{where} can't be used: {system_reason(error)}")
    elif isinstance(error, RecipeError):
        told = _first_to_tell()
    if told:
        failure.leave(failed)
    if os.environ.get("RECIPE_DEBUG") == "1":
        raise
    if isinstance(failed, RecipeError):
        message = render(failed.diagnostics, wants_color(sys.stderr)) if told else ""
        _stop(3 if isinstance(failed, Diverged) else 2, message)
    hint = "RECIPE_DEBUG=1 shows where it comes from"
    _stop(70, f"internal error: {first_line(error)}\n  {hint}")  # sysexits' EX_SOFTWARE


def main() -> None:
    """Run the command line. Exit: 0 fine, 1 findings, 2 bad recipe or usage, 3 diverged, 128 + n on signal n."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what an old encoding has no sign for is still told
    try:
        os.getcwd()
    except OSError:
        _stop(2, str(fail("E001", "the working directory is gone", help="change to one that is there")))
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        sys.exit(143 if isinstance(error.__cause__ or error, Terminated) else 130)
    except Interrupted as error:
        _stop(128 + error.number, str(error) if _first_to_tell() else "")
    except Exception as error:
        _failed(error)
