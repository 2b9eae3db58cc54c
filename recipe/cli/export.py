"""``recipe export``: write the model of a finished run for use without this package."""

from __future__ import annotations

import sys

import click

from recipe.base.printable import printable
from recipe.cli.inputs import plugin_option, tell_broken, tell_lost, vocabulary


class _Command(click.Command):
    """A command whose help ends with the installed formats."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from recipe.exporters.formats import installed

        formats, errors = installed()
        rows = []
        for name, format in formats.items():
            absent = f" Not installed: {', '.join(format.absent)}." if format.absent else ""
            rows.append((name, format.help + absent))
        with formatter.section("Formats"):
            formatter.write_dl(rows)
        tell_broken(errors)


@click.command("export", cls=_Command, short_help="Export a run's model as safetensors, ONNX or PyTorch source.")
@click.argument("run", metavar="RUN")
@click.option("--to", metavar="FORMAT", required=True, help="One of the formats below.")
@click.option(
    "--out",
    metavar="PATH",
    help="The file to write. Default: a file in the current directory, named after the run folder.",
)
@plugin_option
def command(run: str, to: str, out: str | None, plugins: tuple[str, ...]) -> None:
    """Export the model of a finished run, for use without this package.

    RUN is the run folder. The export must return the same logits as the model of the run, to within 1e-5 of the
    largest one; otherwise nothing is written. Existing files are never overwritten.

    \b
    Write first.onnx:
        recipe export runs/first --to onnx
    """
    words = vocabulary(plugins)
    tell_lost(run)
    from recipe.exporters.api import export

    exported = export(run, to=to, out=out, vocabulary=words)
    if exported.difference is None:
        verdict = f"not verified: {exported.unverified}"
    elif exported.difference:
        verdict = f"verified: logits differ from the run's by at most {exported.difference:.0e} of the largest"
    else:
        verdict = "verified: logits equal the run's"
    if exported.note:
        click.echo(f"warning: {printable(exported.note)}", err=True)
    click.echo(printable(verdict), err=True)
    for path in exported.paths:
        click.echo(printable(path) if sys.stdout is not None and sys.stdout.isatty() else path)
