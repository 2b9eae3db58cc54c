"""``recipe test-plugin``: whether the tricks of a package keep to the contract of tricks."""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from typing import Any

import click

from recipe.base.errors import fail
from recipe.base.wording import plural


def _named(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """What an option's texts say, such as ``lr every=lr cosine``, by what they say it of."""
    named = {}
    for text in texts:
        name, equals, said = text.partition("=")
        if not equals or not name.strip():
            flag = option.opts[0]
            raise fail("E001", f"`{flag} {text}` names nothing", help=f'write `{flag} "WORD=…"`')
        named[" ".join(name.split())] = said
    return named


_said = partial(click.option, multiple=True, callback=_named)


def _two(text: str) -> tuple[str, str]:
    first, comma, second = text.partition(",")
    if not comma:
        raise fail("E001", f"`--value` takes two values with a comma between, not `{text}`")
    return first.strip(), second.strip()


@click.command("test-plugin", short_help="Check the tricks of a package.")
@click.argument("package", metavar="NAME|FILE.py")
@click.option("--only", multiple=True, metavar="CHECK", help="Make this check alone; may be given several times.")
@_said(
    "--company",
    metavar="WORD=STATEMENTS",
    help="Statements in whose company a trick, or a field of it, shows: `lr every=lr cosine`.",
)
@_said("--value", "values", metavar="FIELD=ONE,OTHER", help="Two values of a field: `augment shine path=a,b`.")
@_said(
    "--elsewhere",
    metavar="WORD=REASON",
    help="Why what a trick, or a field of it, does can't be seen here: `shine log=tests/test_log.py`.",
)
def command(package: str, values: dict[str, str], **options: Any) -> None:
    """Check every trick that an installed package, or a plugin's file, offers: docs/testing.md says what is held.

    Exits with 1 where a check fails.
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
        click.echo(f"{status:<7} {check}{message}")
        if sys.stdout is not None:
            sys.stdout.flush()
    tricks = plural(len({check.trick for check in made}), "trick")
    click.echo(f"{tricks}: {counts['ok']} checks ok, {counts['FAILED']} failed, {counts['skipped']} skipped")
    sys.exit(1 if counts["FAILED"] else 0)
