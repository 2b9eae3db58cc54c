"""``recipe run``: train a recipe."""

from __future__ import annotations

import os
import re

import click

from recipe.base.errors import fail
from recipe.base.printable import command_line, path_word, printable
from recipe.base.wording import near_file
from recipe.cli import completion
from recipe.cli.inputs import check_quoted, plugin_option, source_of, stem, tell_changes, vocabulary
from recipe.language.recipe_input import examples, is_run, override
from recipe.plan.bind import bind
from recipe.runs.save_policy import CHECKPOINTS, EVERY, SavePolicy
from recipe.runs.time_limit import TimeLimit
from recipe.trackers.tracker import find as find_tracker


def _renamed(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError("--keep is now called --checkpoints")


@click.command("run", short_help="Train a recipe.")
@click.argument("file", metavar="[FILE]", required=False, shell_complete=completion.recipes)
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…", shell_complete=completion.statements)
@click.option("--out", type=click.Path(file_okay=False), help="The run folder. Default: a new folder in ./runs.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    shell_complete=completion.runs,
    help="Resume from the last checkpoint in DIR, or of the last run of this recipe; without one, start a new run.",
)
@click.option("--allow-changed", is_flag=True, help="With --resume: resume even though the recipe has changed.")
@click.option(
    "--save-every",
    metavar="WHEN",
    default=EVERY,
    show_default=True,
    help="When to save a checkpoint: epoch, 500 (steps), 90s, 15m, 1.5h, or a comma-separated list of these.",
)
@click.option(
    "--checkpoints",
    type=click.IntRange(1, 1000),
    default=CHECKPOINTS,
    show_default=True,
    help="Checkpoints to keep.",
)
@click.option("--keep", hidden=True, is_flag=False, flag_value="", expose_value=False, callback=_renamed)
@click.option(
    "--max-time",
    metavar="TIME",
    help="End early, with results, this long after the start of the command: 90s, 15m or 1.5h. Default: no limit.",
)
@click.option("--skip-test", is_flag=True, help="Don't evaluate the test images at the end, if there are any.")
@click.option(
    "--nproc",
    type=click.IntRange(1, 1024),
    help="Processes to train in, each on its own GPU or on its share of the CPU cores. Default: 1.",
)
@click.option(
    "--device", metavar="DEVICE", help="The device, such as cpu or cuda:1. Default: the first CUDA device, or the CPU."
)
@click.option(
    "--strict", is_flag=True, help="Fail if the device has no fast form of the precision, instead of using another."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Compile the recipe, open the data, print what would be trained and how long it would take, and exit.",
)
@click.option(
    "--log",
    "trackers",
    multiple=True,
    metavar="TRACKER",
    help="Also log to a tracker. Repeatable.",
    shell_complete=completion.trackers,
)
@plugin_option
def command(
    file: str | None,
    statements: tuple[str, ...],
    out: str | None,
    resume: str | None,
    allow_changed: bool,
    save_every: str,
    checkpoints: int,
    max_time: str | None,
    skip_test: bool,
    nproc: int | None,
    device: str | None,
    strict: bool,
    dry_run: bool,
    trackers: tuple[str, ...],
    plugins: tuple[str, ...],
) -> None:
    """Train a recipe.

    FILE is a path, `-`, a run folder, a shipped example, or the text of a recipe. STATEMENTS override it.

    \b
    Train `full` on your own images, for 30 epochs and without mixup:
        recipe run full 'data folder "photos"; epochs 30; drop augment mixup'

    \b
    Start a run in a folder of your choice, or resume it there after an interruption:
        recipe run first --resume runs/first

    With --resume DIR you can leave out FILE; the recipe is then read from the run folder.
    """
    limit = None if max_time is None else TimeLimit.of(max_time)
    if allow_changed and resume is None:
        raise click.UsageError("--allow-changed requires --resume")
    file, statements, out = _resumed(file, statements, out, resume)
    words = vocabulary(plugins)
    check_quoted(file, statements, words)
    source = source_of(file, words.verbs())
    policy = SavePolicy.of(save_every, checkpoints)
    plan = bind([source, *override(statements)], words, data=True)
    if resume is None:  # resuming compares them itself
        tell_changes(source, plan)
    for tracker in trackers:
        find_tracker(tracker)
    if nproc is not None and not dry_run:  # errors of the recipe are reported before torch is imported
        from recipe.devices.launch import launch

        given = _arguments(source.text if file == "-" else file, statements, out, resume is not None)
        click.get_current_context().exit(launch(nproc, given))

    from recipe.trackers.starting import Trackers
    from recipe.training.displays import default_listener
    from recipe.training.engine import dry, train
    from recipe.training.reporting import Plain, Several, closing
    from recipe.training.request import Request

    logging = Trackers(trackers, plugins)
    request = Request(
        plan=plan,
        out=out,
        device=device,
        strict=strict,
        resume=resume is not None,
        allow_changed=allow_changed,
        policy=policy,
        limit=limit,
        test=not skip_test,
        listener=Several(Plain() if dry_run else default_listener(keys=True), logging),
        trackers=trackers,
        name=stem(source, "run"),
    )
    if dry_run:
        dry(request, nproc or 1)
        return
    done = train(request)
    from recipe.devices.distributed import leave

    leave()
    reported, note = logging.wait()
    for line in reported.splitlines():
        click.echo(printable(line), err=True)
    if note:
        click.echo(f"warning: {printable(note)}", err=True)
    if os.environ.get("RANK", "0") == "0":
        click.echo(closing(done.summary))
        files = "recipe.lock, summary.json, metrics.jsonl, evaluation.npz, curves.png, model.safetensors"
        click.echo(f"folder {printable(done.folder)}: {files}")


def _resumed(
    file: str | None, statements: tuple[str, ...], out: str | None, resume: str | None
) -> tuple[str, tuple[str, ...], str | None]:
    """Return FILE, STATEMENTS and the run folder, with --resume taken into account."""
    if resume:
        if out is not None:
            raise click.UsageError("--resume DIR and --out both name the run folder; use only one of them")
        if not is_run(resume):
            if file is None:
                option = command_line(f"--resume={path_word(resume)}")
                help = near_file(resume) if not os.path.lexists(resume) else ""
                help = help or f"name a recipe to start a run there: recipe run FILE {option}"
                raise fail("E113", f"no run found in `{resume}`", help=help)
        elif file is None:
            file = resume
        elif _only_statements(file):  # overrides the recipe of the run
            file, statements = resume, (file, *statements)
        return file, statements, resume
    if file is None:
        raise click.UsageError("name a recipe (`recipe run full`) or a run (`recipe run --resume runs/first`)")
    if resume == "" and out is None and is_run(file):
        out = file
    return file, statements, out


def _only_statements(file: str) -> bool:
    """Whether FILE is text without a base, and so not a complete recipe."""
    if file == "-" or os.path.exists(file) or file in examples():
        return False
    return not {words.split()[0] for words in re.split("[;\n]", file) if words.split()} & {"base", "include"}


def _arguments(file: str, statements: tuple[str, ...], out: str | None, resume: bool) -> list[str]:
    """Return the arguments for each of several processes: those of this one, with defaults and paths resolved."""
    params = {**click.get_current_context().params, "out": out, "resume": resume}
    given = [
        f"--{flag.replace('_', '-')}" for flag in ("resume", "allow_changed", "strict", "skip_test") if params[flag]
    ]
    for option in ("out", "save_every", "checkpoints", "max_time", "device"):
        if params[option] is not None:
            given += [f"--{option.replace('_', '-')}", str(params[option])]
    for option in ("plugin", "tracker"):
        for value in params[f"{option}s"]:
            given += ["--log" if option == "tracker" else "--plugin", value]
    return ["run", *given, "--", file, *statements]
