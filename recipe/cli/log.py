"""``recipe log``: log a run to an experiment tracker, also while it trains."""

from __future__ import annotations

from pathlib import Path

import click

from recipe.base.errors import RecipeError
from recipe.base.printable import printable
from recipe.base.wording import plural
from recipe.cli import completion
from recipe.cli.inputs import plugin_option, tell_broken, vocabulary


class _Command(click.Command):
    """A command whose help ends with the installed trackers."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from recipe.trackers.tracker import TRACKERS

        trackers, errors = TRACKERS.installed()
        rows = []
        for name, tracker in trackers.items():
            absent = f" Not installed: {', '.join(tracker.absent)}." if tracker.absent else ""
            rows.append((name, tracker.help + absent))
        with formatter.section("Trackers"):
            formatter.write_dl(rows)
        tell_broken(errors)


@click.command("log", cls=_Command, short_help="Log a run to an experiment tracker.")
@click.argument("run", metavar="RUN", shell_complete=completion.runs)
@click.option(
    "--to", metavar="TRACKER", required=True, help="One of the trackers below.", shell_complete=completion.trackers
)
@plugin_option
def command(run: str, to: str, plugins: tuple[str, ...]) -> None:
    """Log a run from its folder to an experiment tracker, and follow it as long as it trains.

    It can start at any time, also after the training, and again after it was stopped: only new lines are logged.

    \b
    Write event files for TensorBoard to runs/first/tensorboard:
        recipe log runs/first --to tensorboard
    """
    from recipe.plan.values import values_of
    from recipe.runs.recipe_lock import open_lock
    from recipe.trackers.following import follow
    from recipe.trackers.tracker import find

    tracker, folder = find(to), Path(run)
    lock = open_lock(folder)
    try:
        settings = values_of(lock.plan(vocabulary(plugins)))
    except RecipeError as error:
        settings = {}
        click.echo(f"warning: logged without settings: {printable(error.diagnostics[0].message)}", err=True)
    logged = follow(folder, tracker, settings, lambda note: click.echo(f"note: {printable(note)}", err=True))
    click.echo(f"{plural(logged, 'line')} logged to {printable(tracker.name)}", err=True)
