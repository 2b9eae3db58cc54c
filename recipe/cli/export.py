"""``recipe export``: a finished run's model for those who have no recipe."""

from __future__ import annotations

import click

from recipe.cli.inputs import plugin_option, tell_broken, tell_lost, vocabulary


class _Command(click.Command):
    """A command whose help ends with the formats that are installed."""

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


@click.command("export", cls=_Command, short_help="Write a run's model as safetensors, ONNX or PyTorch source.")
@click.argument("run", metavar="RUN")
@click.option("--to", metavar="FORMAT", required=True, help="One of the formats below.")
@click.option("--out", metavar="PATH", help="The file to write. Default: the run's name in the current directory.")
@plugin_option
def command(run: str, to: str, out: str | None, plugins: tuple[str, ...]) -> None:
    """Write the model of a finished run, RUN its folder, in a form that needs no recipe.

    It must give the same logits as the run's own model, else nothing is written. No file is written over.
    """
    words = vocabulary(plugins)
    tell_lost(run)
    from recipe.exporters.api import export

    exported = export(run, to=to, out=out, vocabulary=words)
    if exported.difference is None:
        verdict = f"not verified: {exported.unverified}"
    elif exported.difference:
        verdict = f"verified: its logits differ from the run's by at most {exported.difference:.0e} of their scale"
    else:
        verdict = "verified: its logits are the run's"
    click.echo(verdict, err=True)
    for path in exported.paths:
        click.echo(path)
