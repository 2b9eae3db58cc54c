"""``recipe test-plugin``: whether the tricks of a package keep to the contract of tricks."""

from __future__ import annotations

import sys

import click

from recipe.base.errors import fail
from recipe.base.wording import plural


@click.command("test-plugin", short_help="Check the tricks of a package.")
@click.argument("package", metavar="NAME|FILE.py")
@click.option("--only", multiple=True, metavar="CHECK", help="Make this check alone; may be given several times.")
@click.option(
    "--company",
    multiple=True,
    metavar="WORD=STATEMENTS",
    help="Statements in whose company a trick, or a field of it, shows: `lr every=lr cosine`.",
)
@click.option(
    "--value", multiple=True, metavar="FIELD=ONE,OTHER", help="Two values of a field: `augment shine path=a,b`."
)
@click.option(
    "--elsewhere",
    multiple=True,
    metavar="WORD=REASON",
    help="Why what a trick, or a field of it, does can't be seen here: `shine log=tests/test_log.py`.",
)
def command(
    package: str,
    only: tuple[str, ...],
    company: tuple[str, ...],
    value: tuple[str, ...],
    elsewhere: tuple[str, ...],
) -> None:
    """Check every trick that an installed package, or a plugin's file, offers: docs/testing.md says what is held.

    Exits with 1 where a check fails.
    """
    said = dict(_named(text, "--company") for text in company)
    values = {name: _two(text) for name, text in (_named(text, "--value") for text in value)}
    held = dict(_named(text, "--elsewhere") for text in elsewhere)
    from recipe.testing import Skipped, Unmet, checks

    found = checks(package, only=only, company=said, values=values, elsewhere=held)
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    for check in found:
        status, message = "ok", ""
        try:
            check.run()
        except Unmet as unmet:
            status, message = "FAILED", str(unmet)
        except Skipped as reason:
            status, message = "skipped", str(reason)
        counts[status] += 1
        click.echo(f"{status:<7} {check}" + (f" – {message}" if message else ""))
        if sys.stdout is not None:
            sys.stdout.flush()
    tricks = len({check.trick for check in found})
    click.echo(
        f"{plural(tricks, 'trick')}: {counts['ok']} checks ok, {counts['FAILED']} failed, {counts['skipped']} skipped"
    )
    sys.exit(1 if counts["FAILED"] else 0)


def _named(text: str, option: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not equals or not name.strip():
        raise fail("E001", f"`{option} {text}` names nothing", help=f'write `{option} "WORD=…"`')
    return " ".join(name.split()), rest


def _two(text: str) -> tuple[str, str]:
    one, comma, other = text.partition(",")
    if not comma:
        raise fail("E001", f"`--value` takes two values with a comma between, not `{text}`")
    return one.strip(), other.strip()
