"""``recipe explain``: what a recipe means, what it does to the model, what it costs; or what a code means."""

from __future__ import annotations

import json
import re
import textwrap

import click

from recipe.base.codes import CODES
from recipe.base.errors import fail
from recipe.base.wording import did_you_mean
from recipe.cli.inputs import plugin_option, source_of, vocabulary
from recipe.language.recipe_input import override
from recipe.plan.bind import bind


@click.command("explain", short_help="Show what a recipe means, or what a code means.")
@click.argument("what", metavar="FILE|CODE")
@click.argument("statements", nargs=-1, metavar="[STATEMENTS]…")
@click.option("--device", help="The device to tell substitutions for. Default: the one that a run would take.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan, the edits and the costs as JSON.")
@plugin_option
def command(
    what: str, statements: tuple[str, ...], device: str | None, as_json: bool, plugins: tuple[str, ...]
) -> None:
    """Show the plan of a recipe with the origin of every value, what it does to the model, and what it costs.

    For a CODE such as E021, show what it means.
    """
    if re.fullmatch(r"[EWew]\d+", what):
        if statements or as_json or device:
            raise click.UsageError(f"{what} is a code, and takes nothing beside it")
        click.echo(_meaning(what.upper()))
        return
    plan = bind([source_of(what), *override(statements)], vocabulary(plugins), data=True)
    from recipe.compiler.lower import lower
    from recipe.devices.choice import pick
    from recipe.explain.program import as_dict, explain

    pick(device)
    program = lower(plan, device="meta")
    click.echo(json.dumps(as_dict(program, device), indent=2) if as_json else explain(program, device))


def _meaning(code: str) -> str:
    if code not in CODES:
        raise fail("E001", f"there is no code {code}", help=did_you_mean(code, CODES, form=str))
    title, text = CODES[code]
    return f"{code}: {title}\n\n{textwrap.fill(text, 88)}"
