"""``recipe evaluate``: measure how well a run, or the pretrained model of a recipe, classifies images."""

from __future__ import annotations

import os
from pathlib import Path

import click

from recipe.base.files import write_page
from recipe.base.printable import printable
from recipe.base.wording import with_near_paths
from recipe.cli import completion
from recipe.cli.inputs import check_quoted, plugin_option, source_of, tell_lost, vocabulary
from recipe.language.recipe_input import override
from recipe.plan.bind import bind


@click.command("evaluate", short_help="Measure how well a run classifies images.")
@click.argument("run", metavar="RUN|RECIPE", shell_complete=completion.recipes)
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…", shell_complete=completion.statements)
@click.option(
    "--on",
    type=click.Choice(["val", "test"]),
    default="val",
    show_default=True,
    help="The images to evaluate: val, those that are held out, or test.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write a self-contained HTML page.")
@click.option(
    "--batch", type=click.IntRange(1), help="Images computed at a time. Default: the run's batch, at most 256."
)
@click.option("--nproc", type=click.IntRange(1, 1024), help="Processes that share the images. Default: 1.")
@click.option("--device", metavar="DEVICE", help="The device. Default: the first CUDA device, or the CPU.")
@plugin_option
def command(
    run: str,
    statements: tuple[str, ...],
    on: str,
    as_json: bool,
    html: Path | None,
    batch: int | None,
    nproc: int | None,
    device: str | None,
    plugins: tuple[str, ...],
) -> None:
    """Measure how well the model of a run classifies its held-out images, or others.

    RUN is a run folder. STATEMENTS may replace its data and batch: the classes are matched by name. RECIPE is a recipe
    whose model has pretrained weights, which is evaluated as it is.

    \b
    Evaluate a run on other images, and write a page with the confusion matrix and the worst errors:
        recipe evaluate runs/photos 'data folder "new"' --html report.html
    """
    words = vocabulary(plugins)
    check_quoted(run, statements, words)
    is_run = os.path.isfile(os.path.join(run, "recipe.lock"))
    source = None if is_run else source_of(run, words.verbs())
    plan = None if source is None else bind([source, *override(statements)], words)
    if is_run:
        tell_lost(run)
    if nproc is not None:
        from recipe.devices.launch import launch

        named = source.text if source is not None and run == "-" else run
        click.get_current_context().exit(launch(nproc, _arguments(named, statements)))
    from recipe.devices.choice import pick
    from recipe.devices.distributed import Ranks, leave
    from recipe.inference.evaluating import Computing, evaluate_recipe, evaluate_trained
    from recipe.inference.opened import load

    chosen = pick(device)
    computing = Computing(batch, ranks=Ranks.join(chosen))
    if plan is None:
        made = load(run, device=chosen, plugins=words)
        own = (made.folder, made.program.plan, made.trained, made.note)
        evaluation = evaluate_trained(*own, statements, computing, on)
    else:
        evaluation = evaluate_recipe(plan, run, chosen, computing, on=on)
    leave()
    if computing.ranks.is_main:
        for why in evaluation.skipped:
            click.echo(f"note: skipped: {printable(with_near_paths(why))}", err=True)
        if html is not None:
            write_page(html, evaluation.to_html())
        click.echo(evaluation.to_json() if as_json else evaluation.to_text(), nl=as_json)


def _arguments(run: str, statements: tuple[str, ...]) -> list[str]:
    """Return the arguments for each of several processes: those of this one."""
    params = click.get_current_context().params
    given = ["--json"] if params["as_json"] else []
    for option in ("on", "html", "batch", "device"):
        if params[option] is not None:
            given += [f"--{option}", str(params[option])]
    for plugin in params["plugins"]:
        given += ["--plugin", plugin]
    return ["evaluate", *given, "--", run, *statements]
