"""The checks, one a file, in the order in which they are made; docs/testing.md says what each of them holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recipe.testing.rules.canonical import canonical
from recipe.testing.rules.clashes import clashes
from recipe.testing.rules.compiles import compiles
from recipe.testing.rules.deterministic import deterministic
from recipe.testing.rules.docstring import docstring
from recipe.testing.rules.effects import fields
from recipe.testing.rules.light import light
from recipe.testing.rules.noop import no_op
from recipe.testing.rules.parameters import parameters
from recipe.testing.rules.resume import resume
from recipe.testing.rules.reversible import reversible
from recipe.testing.rules.shapes import shapes
from recipe.testing.subject import Subject

CHECKS: Mapping[str, Callable[[Subject], None]] = {
    "docstring": docstring,
    "light": light,
    "canonical": canonical,
    "clashes": clashes,
    "fields": fields,
    "reversible": reversible,
    "no-op": no_op,
    "parameters": parameters,
    "shapes": shapes,
    "deterministic": deterministic,
    "resume": resume,
    "compiles": compiles,
}
"""Every check, by name. Each raises `Unmet` for what it finds wrong, or `Skipped` where it can't be made."""
