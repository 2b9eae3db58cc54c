"""``recipe run``: train a recipe."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from recipe.cli.inputs import plugin_option, source_of, vocabulary


@click.command("run", short_help="Train a recipe.")
@click.argument("file", metavar="FILE")
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…")
@click.option("--out", type=click.Path(file_okay=False), help="The run's folder. Default: a new one in ./runs.")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint, or begin where there is none.")
@click.option("--device", help="Such as cpu or cuda:1. Default: the first CUDA device, else the CPU.")
@click.option("--strict", is_flag=True, help="Refuse to substitute a precision that the device has no fast form of.")
@click.option("--dry-run", is_flag=True, help="Compile, open the data, say what would be trained, and stop.")
@plugin_option
def command(
    file: str,
    statements: tuple[str, ...],
    out: str | None,
    resume: bool,
    device: str | None,
    strict: bool,
    dry_run: bool,
    plugins: tuple[str, ...],
) -> None:
    """Train a recipe: a path, `-`, the name of a shipped example, or the recipe's own text.

    STATEMENTS are laid over it: recipe run full "epochs 2; drop augment mixup".
    """
    words, source = vocabulary(plugins), source_of(file)
    # Errors of the recipe are told before torch is imported.
    from recipe.bind import bind
    from recipe.inputs import override

    plan = bind([source, *override(statements)], words, data=True)

    from recipe.engine import dry, run
    from recipe.report import Live, Plain, closing

    live = sys.stderr is not None and sys.stderr.isatty() and not dry_run
    listener = Live() if live else Plain()
    name = Path(source.name).stem if source.kind == "file" and not source.name.startswith("<") else "run"
    if dry_run:
        dry(plan, out=out, device=device, strict=strict, resume=resume, listener=listener, vocabulary=words, name=name)
        return
    done = run(
        plan, out=out, device=device, strict=strict, resume=resume, listener=listener, vocabulary=words, name=name
    )
    click.echo(closing(done.summary))
    click.echo(f"folder {done.folder}: recipe.lock, summary.json, metrics.jsonl, curves.png, model.safetensors")
