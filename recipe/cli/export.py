"""``recipe export``: write the model of a run for use without this package."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from recipe.base.printable import printable
from recipe.base.wording import plural
from recipe.cli import completion
from recipe.cli.inputs import plugin_option, tell_broken, tell_lost, vocabulary

if TYPE_CHECKING:
    from recipe.exporters.api import Exported


class _Command(click.Command):
    """A command whose help ends with the installed formats."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from recipe.exporters.formats import installed

        formats, errors = installed()
        rows = []
        for name, format in formats.items():
            deploy = " Supports --deploy." if format.deploy else ""
            absent = f" Not installed: {', '.join(format.absent)}." if format.absent else ""
            rows.append((name, format.help + deploy + absent))
        with formatter.section("Formats"):
            formatter.write_dl(rows)
        tell_broken(errors)


@click.command("export", cls=_Command, short_help="Export a run's model as safetensors, ONNX or PyTorch source.")
@click.argument("run", metavar="RUN", shell_complete=completion.runs)
@click.option(
    "--to", metavar="FORMAT", required=True, help="One of the formats below.", shell_complete=completion.formats
)
@click.option(
    "--out",
    metavar="PATH",
    help="The file to write. Default: a file in the current directory, named after the run folder.",
)
@click.option(
    "--deploy",
    is_flag=True,
    help="Export a model that takes uint8 pixels of any size and returns labels with their probabilities.",
)
@plugin_option
def command(run: str, to: str, out: str | None, deploy: bool, plugins: tuple[str, ...]) -> None:
    """Export the model of a run, for use without this package.

    RUN is the run folder. The export must return the same logits as the model of the run, to within 1e-5 of the
    largest one; otherwise nothing is written. ONNX is verified only if onnxruntime is installed. Existing files are
    never overwritten.

    \b
    Write first.onnx:
        recipe export runs/first --to onnx

    With --deploy, the preprocessing is part of the export. It must turn images of several sizes into the inputs of the
    run's evaluation, to within 1 of 255 shades, and return the same top labels; otherwise nothing is written. The
    differences are printed.

    \b
    Write deployed.py, a command that prints the labels of images:
        recipe export runs/first --to python --deploy --out deployed.py
    """
    words = vocabulary(plugins)
    tell_lost(run)
    from recipe.exporters.api import export

    exported = export(run, to=to, out=out, deploy=deploy, plugins=words)
    if exported.note:
        click.echo(f"warning: {printable(exported.note)}", err=True)
    click.echo(printable(_verdict(exported)), err=True)
    for path in exported.paths:
        click.echo(printable(path) if sys.stdout is not None and sys.stdout.isatty() else path, color=True)


def _verdict(exported: Exported) -> str:
    """Return how close the export is to the run."""
    if exported.difference is None:
        return f"not verified: {exported.unverified}"
    if exported.shades is None:
        if not exported.difference:
            return "verified: logits equal the run's"
        return f"verified: logits differ from the run's by at most {exported.difference:.0e} of the largest"
    inputs = "inputs equal the run's"
    if exported.differing:
        by = f"{exported.shades:.3g} of 255 shades, in {100 * exported.differing:.3g}% of their values"
        inputs = f"inputs differ from the run's by at most {by}"
    labels = "top labels are equal"
    if exported.other_labels:
        labels = f"{plural(exported.other_labels, 'top label')} with nearly the same probability differ"
    return f"verified: {inputs}, probabilities differ by at most {exported.difference:.0e}, and {labels}"
