"""``recipe export``: a finished run's model for those who have no recipe."""

from __future__ import annotations

import click

from recipe.cli.inputs import plugin_option, tell_lost, vocabulary


@click.command("export", short_help="Write a run's model as safetensors, ONNX or PyTorch source.")
@click.argument("run", metavar="RUN")
@click.option(
    "--to",
    type=click.Choice(["safetensors", "onnx", "python"]),
    required=True,
    help="Weights alone, the network as ONNX, or plain PyTorch source with weights beside it.",
)
@click.option("--out", metavar="PATH", help="The file to write. Default: the run's name in the current directory.")
@plugin_option
def command(run: str, to: str, out: str | None, plugins: tuple[str, ...]) -> None:
    """Write the model of a finished run, RUN its folder, in a form that needs no recipe.

    It must give the same logits as the run's own model, else nothing is written. No file is written over.
    """
    words = vocabulary(plugins)
    tell_lost(run)
    from recipe.exporters.api import export

    done = export(run, to=to, out=out, vocabulary=words)
    if done.difference is None:
        click.echo("not verified: onnxruntime is not installed", err=True)
    else:
        off = (
            f"differ from the run's by at most {done.difference:.0e} of their scale"
            if done.difference
            else "are the run's"
        )
        click.echo(f"verified: its logits {off}", err=True)
    for path in done.paths:
        click.echo(path)
