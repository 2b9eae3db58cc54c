"""``recipe run``: train a recipe."""

from __future__ import annotations

import os
import re
import sys

import click

from recipe.base.errors import fail
from recipe.cli.inputs import examples, plugin_option, source_of, stem, vocabulary
from recipe.language.recipe_input import override
from recipe.plan.bind import bind
from recipe.runs.save_policy import EVERY, KEEP, SavePolicy


@click.command("run", short_help="Train a recipe.")
@click.argument("file", metavar="[FILE]", required=False)
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…")
@click.option("--out", type=click.Path(file_okay=False), help="The run's folder. Default: a new one in ./runs.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Go on from the last checkpoint of the run, or of the one in DIR; begin where there is none.",
)
@click.option("--allow-changed", is_flag=True, help="With --resume: go on although the recipe is another now.")
@click.option("--save-every", default=EVERY, show_default=True, help="When to save: epoch, 500 (steps), 15m.")
@click.option("--keep", type=click.IntRange(1, 1000), default=KEEP, show_default=True, help="Checkpoints to keep.")
@click.option("--nproc", type=click.IntRange(1, 1024), help="Train in so many processes, each on its own device.")
@click.option("--device", help="Such as cpu or cuda:1. Default: the first CUDA device, else the CPU.")
@click.option("--strict", is_flag=True, help="Refuse to substitute a precision that the device has no fast form of.")
@click.option("--dry-run", is_flag=True, help="Compile, open the data, say what would be trained, and stop.")
@plugin_option
def command(
    file: str | None,
    statements: tuple[str, ...],
    out: str | None,
    resume: str | None,
    allow_changed: bool,
    save_every: str,
    keep: int,
    nproc: int | None,
    device: str | None,
    strict: bool,
    dry_run: bool,
    plugins: tuple[str, ...],
) -> None:
    """Train a recipe: a path, `-`, the name of a shipped example, the folder of a run, or the recipe's own text.

    STATEMENTS are laid over it: recipe run full "epochs 2; drop augment mixup". With --resume DIR, FILE may
    be left out: the recipe is the one that the run was begun with.
    """
    if allow_changed and resume is None:
        raise click.UsageError("--allow-changed is for a run that goes on: add --resume")
    file, statements, out = _resumed(file, statements, out, resume)
    words, source = vocabulary(plugins), source_of(file)
    policy = SavePolicy.of(save_every, keep)
    plan = bind([source, *override(statements)], words, data=True)
    if nproc is not None and not dry_run:  # errors of the recipe are told before torch is imported
        from recipe.devices.launch import launch

        launch(nproc, _arguments(source.text if file == "-" else file, statements, out, resume is not None))

    from recipe.training.engine import Request, dry, train
    from recipe.training.reporting import Live, Plain, closing

    live = sys.stderr is not None and sys.stderr.isatty() and not dry_run and "LOCAL_RANK" not in os.environ
    request = Request(
        plan=plan,
        out=out,
        device=device,
        strict=strict,
        resume=resume is not None,
        allow_changed=allow_changed,
        policy=policy,
        listener=Live() if live else Plain(),
        name=stem(source, "run"),
    )
    if dry_run:
        dry(request, nproc or 1)
        return
    done = train(request)
    from recipe.devices.distributed import leave

    leave()
    if os.environ.get("RANK", "0") == "0":
        click.echo(closing(done.summary))
        click.echo(f"folder {done.folder}: recipe.lock, summary.json, metrics.jsonl, curves.png, model.safetensors")


def _resumed(
    file: str | None, statements: tuple[str, ...], out: str | None, resume: str | None
) -> tuple[str, tuple[str, ...], str | None]:
    """The recipe, the statements and the folder that are meant, from what --resume says."""
    if resume:
        if out is not None:
            raise click.UsageError("--resume DIR and --out both name the run's folder; leave one out")
        if not os.path.isfile(os.path.join(resume, "recipe.lock")):
            if file is None:
                help = f"name a recipe too, to begin one there: recipe run FILE --resume {resume}"
                raise fail("E113", f"there is no run in `{resume}`", help=help)
        elif file is None:
            file = resume
        elif _only_statements(file):  # laid over the run's own recipe
            file, statements = resume, (file, *statements)
        return file, statements, resume
    if file is None:
        raise click.UsageError("name a recipe: `recipe run full`, or a run to go on with: `recipe run --resume runs/x`")
    if resume == "" and out is None and os.path.isfile(os.path.join(file, "recipe.lock")):
        out = file
    return file, statements, out


def _only_statements(file: str) -> bool:
    """Whether FILE is text without a base, which is no recipe by itself."""
    if file == "-" or os.path.exists(file) or file in examples():
        return False
    return not {words.split()[0] for words in re.split("[;\n]", file) if words.split()} & {"base", "include"}


def _arguments(file: str, statements: tuple[str, ...], out: str | None, resume: bool) -> list[str]:
    """The arguments of each of several processes: those of this one, with what they mean spelt out."""
    params = {**click.get_current_context().params, "out": out, "resume": resume}
    given = [f"--{flag.replace('_', '-')}" for flag in ("resume", "allow_changed", "strict") if params[flag]]
    for option in ("out", "save_every", "keep", "device"):
        if params[option] is not None:
            given += [f"--{option.replace('_', '-')}", str(params[option])]
    for plugin in params["plugins"]:
        given += ["--plugin", plugin]
    return ["run", *given, "--", file, *statements]
