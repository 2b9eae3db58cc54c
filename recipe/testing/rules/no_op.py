"""``no-op``: a rewrite that finds its work done says so, and one that finds no place says that."""

from __future__ import annotations

import attrs

from recipe.base.errors import RecipeError
from recipe.compiler.program import Program
from recipe.compiler.summarise import describe
from recipe.graph.edits import Edit, Initialise, Site
from recipe.graph.net import Net
from recipe.plugins.calling import call_hook
from recipe.plugins.uses import Use
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.models import traced
from recipe.testing.trick_under_test import TrickUnderTest


def no_op(subject: TrickUnderTest) -> None:
    """A rewrite changes nothing itself, adds nothing to its own result, and claims no site where there is none.

    Values that are drawn again are no addition. The network without sites is one fully connected layer.
    """
    if not subject.overrides("rewrite"):
        raise Skipped("it rewrites no graph")
    program = subject.bench.program(subject.within, "meta", fresh=True)
    use = program.plan.find(subject.word)
    assert use is not None
    before = describe(program)
    sites = _sites(use, program)
    if describe(program) != before:
        raise Unmet(f"`{subject.word}` changes the graph itself; let `rewrite` give edits, and change nothing")
    more = [edit for site in sites for edit in site.edits if not _harmless(edit, program)]
    if more:
        help = "let `rewrite` give a site without edits where its work is done"
        raise Unmet(f"`{subject.word}` piles up: on its own result it would do “{more[0]}” again; {help}")
    _claims_nothing(use, program)


def _harmless(edit: Edit, program: Program) -> bool:
    return isinstance(edit, Initialise) and edit in program.edits


def _sites(use: Use, program: Program) -> list[Site]:
    return [*call_hook(use, "rewrite", Net(program.structure))]


def _claims_nothing(use: Use, program: Program) -> None:
    try:
        sites = [*call_hook(use, "rewrite", traced("bare", program.costs.size))]
    except RecipeError as error:
        said = error.diagnostics[0].message
        raise Unmet(f"`{use.word}` fails on a network without convolutions; let it give no site: {said}") from error
    if sites and not any(attrs.asdict(site)["edits"] for site in sites):
        raise Unmet(
            f"`{use.word}` says “already so” of a network without convolutions; let it give no site there (E101)"
        )
