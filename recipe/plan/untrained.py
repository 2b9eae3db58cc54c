"""Teachers that are used as they are: runs, and recipes of nothing but a model with pretrained weights."""

from __future__ import annotations

import re
from pathlib import Path

from recipe.base.errors import fail
from recipe.base.identity import digest
from recipe.language.ast import Word
from recipe.language.lock_header import read_header
from recipe.language.recipe_input import LOCK, read
from recipe.plan.plan import Plan
from recipe.plugins.field_contracts import ModelFields

INPUTS = re.compile("mean|std|interpolation|evaluation_.*")
"""The training settings that state how images become inputs."""


def is_pretrained(plan: Plan) -> bool:
    """Whether a recipe states nothing but a model with pretrained weights and its inputs, so that it needs no training.

    Such a recipe names neither a dataset nor anything about a training.
    """
    inputs = {use.word for setting, uses in plan.makers.items() if INPUTS.fullmatch(setting) for use in uses}
    stated = {use.word for use in plan.uses if use.stated}
    return ModelFields.of(plan.base.trick).weights is not None and stated <= {plan.base.word, *inputs}


def text_of(plan: Plan) -> str:
    """Return the text of a recipe on one line, with absolute paths, which binds to the same plan."""
    if not is_pretrained(plan):
        return "; ".join(plan.canonical().splitlines())
    drops = [f"drop {word}" for word in plan.barred]
    stated = [use.statement() for use in plan.uses if use.stated]
    return "; ".join([f"dialect {plan.dialect}", *drops, *stated])


def digest_of_run(folder: Path, word: Word) -> str:
    """Return digits that identify a run as a teacher, by the digest in its lock.

    Its weights are not read here. Raises `RecipeError`: E060 if the lock states no digest, E120 if it has been edited.
    """
    header = read_header(read(folder / LOCK, span=word.span).text)
    if header is None:
        message = f"the teacher `{word.value}` is a folder whose {LOCK} states no digest"
        raise fail("E060", message, word.span, help="name the folder of a run, which `recipe run` made")
    if header.edited:
        message = f"the {LOCK} of the teacher `{word.value}` has been edited since its run started"
        raise fail("E120", message, word.span, help=f"restore {LOCK}, or name the changed recipe as a file to train it")
    return digest(f"run {header.digest}".encode())
