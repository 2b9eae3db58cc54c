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
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import Diverged, RecipeError
from recipe.base.rendering import render, wants_color
from recipe.base.signals import Interrupted, Terminated
from recipe.base.wording import did_you_mean, first_line, system_reason

COMMANDS = ("run", "check", "fmt", "explain", "diff", "ablate", "export", "tricks", "new", "test-plugin", "doctor")
INTERNAL = 70  # sysexits' EX_SOFTWARE


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"recipe.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command `{args[0]}`{did_you_mean(args[0], COMMANDS, before='; ')}")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _reader_may_leave():  # of what --help prints
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> object:
        with _reader_may_leave():
            return super().invoke(ctx)


@contextlib.contextmanager
def _reader_may_leave() -> Iterator[None]:
    """End with 141 where whoever read the output left; click would exit with 1, which means findings."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


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


def main() -> None:
    """Run the command line. Exit: 0 fine, 1 findings, 2 bad recipe or usage, 3 diverged, 128 + n on signal n."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what an old encoding has no sign for is still told
    try:
        os.getcwd()
    except OSError:
        _stop(2, render([Diagnostic("E001", "the working directory is gone", help="change to one that is there")]))
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        _stop(143 if isinstance(error.__cause__ or error, Terminated) else 130)
    except RecipeError as error:
        first = _first_to_tell()
        if first:
            failure.leave(error)
        if os.environ.get("RECIPE_DEBUG") == "1":
            raise
        told = render(error.diagnostics, wants_color(sys.stderr)) if first else ""
        _stop(3 if isinstance(error, Diverged) else 2, told)
    except Interrupted as error:
        _stop(128 + error.number, str(error) if _first_to_tell() else "")
    except OSError as error:
        where = f"`{error.filename}`" if error.filename else "the output"
        unusable = Diagnostic("E111", f"{where} can't be used: {system_reason(error)}")
        failure.leave(RecipeError(unusable))
        if os.environ.get("RECIPE_DEBUG") == "1":
            raise
        _stop(2, render([unusable]))
    except Exception as error:
        failure.leave(error)
        if os.environ.get("RECIPE_DEBUG") == "1":
            raise
        _stop(INTERNAL, f"internal error: {first_line(error)}\n  RECIPE_DEBUG=1 shows where it comes from")
