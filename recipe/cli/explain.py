"""``recipe explain``: show what a recipe means, does to the model, and costs; or what a code means."""

from __future__ import annotations

import json
import re
import textwrap

import click

from recipe.base.codes import CODES
from recipe.base.errors import fail
from recipe.base.wording import did_you_mean
from recipe.cli import completion
from recipe.cli.inputs import check_quoted, plugin_option, source_of, tell_changes, vocabulary
from recipe.language.recipe_input import LOCK, override
from recipe.plan.bind import bind


@click.command("explain", short_help="Explain a recipe, or the code of an error.")
@click.argument("what", metavar="FILE|CODE", shell_complete=completion.recipes)
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…", shell_complete=completion.statements)
@click.option(
    "--device",
    metavar="DEVICE",
    help="The device to report the precision for, such as cpu or cuda:1. Default: the first CUDA device, or the CPU.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/reference/json.md lists the fields.")
@plugin_option
def command(
    what: str, statements: tuple[str, ...], device: str | None, as_json: bool, plugins: tuple[str, ...]
) -> None:
    """Explain a recipe, or the code of an error or warning.

    For a recipe, shows every value with its origin, the order of the tricks and why, published evidence, the edits of
    the graph, parameters and costs by stage, and the learning rate over the epochs. Nothing is trained. STATEMENTS
    override the recipe. For a run folder, also shows how the run ended, what it was trained on, and how good it is.

    \b
    What does `full` do to ResNet-50, and what changes with a schedule in steps?
        recipe explain full
        recipe explain full "lr step 8 12"

    \b
    What does an error code mean?
        recipe explain E021
    """
    if re.fullmatch(r"[EWew]\d+", what):
        if statements or as_json or device or plugins:
            raise click.UsageError(f"{what} is a code and takes no other arguments or options")
        click.echo(_meaning(what.upper()))
        return
    words = vocabulary(plugins)
    check_quoted(what, statements, words)
    source = source_of(what, words.verbs())
    plan = bind([source, *override(statements)], words, data=True)
    tell_changes(source, plan)
    from recipe.compiler.lower import lower
    from recipe.devices.choice import pick
    from recipe.explain.program import as_dict, explain
    from recipe.explain.run import facts_of
    from recipe.runs.recipe_lock import as_recorded, read_lock

    pick(device)
    run = None
    if source.path is not None and source.path.name == LOCK and not statements and read_lock(source.path.parent):
        run, plan = facts_of(source.path.parent, plan), as_recorded(plan, source)
    program = lower(plan, device="meta")
    click.echo(json.dumps(as_dict(program, device, run), indent=2) if as_json else explain(program, device, run))


def _meaning(code: str) -> str:
    if code not in CODES:
        raise fail("E001", f"unknown code `{code}`", help=did_you_mean(code, CODES, form=str))
    title, text = CODES[code]
    return f"{code}: {title}\n\n{textwrap.fill(text, 88, break_on_hyphens=False)}"
