"""``recipe test-plugin``: check the tricks of a package or file."""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from typing import Any

import click

from recipe.base.errors import fail
from recipe.base.printable import printable_lines
from recipe.base.wording import plural
from recipe.cli import completion


def _named(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Split the values of an option, such as ``lr every=lr cosine``, into names and texts."""
    named = {}
    for text in texts:
        name, equals, said = text.partition("=")
        if not equals or not name.strip():
            flag = option.opts[0]
            raise fail("E001", f"`{flag} {text}` has no name before `=`", help=f'write `{flag} "WORD=…"`')
        named[" ".join(name.split())] = said
    return named


_said = partial(click.option, multiple=True, callback=_named)


def _two(text: str) -> tuple[str, str]:
    first, comma, second = text.partition(",")
    if not comma:
        raise fail("E001", f"`--value` takes two values separated by a comma, not `{text}`")
    return first.strip(), second.strip()


@click.command("test-plugin", short_help="Check the tricks of a package or file.")
@click.argument("package", metavar="NAME|FILE.py", shell_complete=completion.files)
@click.option("--only", multiple=True, metavar="CHECK", help="Run only this check. Default: all checks. Repeatable.")
@_said(
    "--company",
    metavar="WORD=STATEMENTS",
    help="Statements that a trick or field needs to have an effect: `lr every=lr cosine`. Repeatable.",
)
@_said(
    "--value", "values", metavar="FIELD=ONE,OTHER", help='Two values to try: `augment shine path="a","b"`. Repeatable.'
)
@_said(
    "--elsewhere",
    metavar="WORD=REASON",
    help="Why the effect of a trick or field can't be checked here: `shine log=tests/test_log.py`. Repeatable.",
)
def command(package: str, values: dict[str, str], **options: Any) -> None:
    """Check the tricks of an installed package or of a Python file.

    The tricks of this package pass the same checks: that a trick repeats, resumes, can be removed again, and more.
    docs/guides/test-a-trick.md describes each check. Exits with 1 if a check fails.

    \b
    Check a package, then one thing about a single file:
        recipe test-plugin recipe-shine
        recipe test-plugin tweak_small.py --only resume
    """
    pairs = {name: _two(text) for name, text in values.items()}
    from recipe.testing import Skipped, Unmet, checks

    made = checks(package, values=pairs, **options)
    counts = Counter[str]()
    for check in made:
        status, message = "ok", ""
        try:
            check.run()
        except Unmet as unmet:
            status, message = "FAILED", f" – {unmet}"
        except Skipped as reason:
            status, message = "skipped", f" – {reason}"
        counts[status] += 1
        click.echo(printable_lines(f"{status:<7} {check}{message}"))
        if sys.stdout is not None:
            sys.stdout.flush()
    tricks = plural(len({check.trick for check in made}), "trick")
    click.echo(f"{tricks}: {counts['ok']} checks ok, {counts['FAILED']} failed, {counts['skipped']} skipped")
    click.get_current_context().exit(1 if counts["FAILED"] else 0)
