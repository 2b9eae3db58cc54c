"""Assertions about rewrites, for tests that read like a specification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.wording import plural
from recipe.compiler.api import compile
from recipe.compiler.program import Program
from recipe.graph.edits import Edit
from recipe.plugins.vocabulary import Vocabulary


def assert_rewrites(
    text: str,
    expected: Mapping[str, int] | tuple[Edit, ...],
    base: nn.Module | None = None,
    device: str = "meta",
    plugins: Vocabulary | Sequence[str | Path] = (),
) -> Program:
    """Check what a recipe's tricks do to the network, without reinitializing its weights.

    Args:
        text: The text of the recipe. ``init stock`` is added to it.
        expected: The number of sites that each rewriting trick edits, by its words, or all edits in order.
        base: A model of your own to rewrite, such as that of `small`.
        device: The device of the model's weights. On ``meta``, no weights are created.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.

    Returns:
        The compiled recipe, for further assertions.

    Raises:
        AssertionError: If the sites or edits differ from the expected ones.
        RecipeError: If the recipe doesn't compile.

    >>> assert_rewrites("base resnet50; tweak D", {"tweak D": 3}).costs.params
    25557032
    """
    program = compile(f"{text}; init stock", base=base, device=device, plugins=plugins)
    actual = program.sites if isinstance(expected, Mapping) else program.edits
    if actual != expected:
        raise AssertionError(f"`{text}` produces {actual}, not {expected}")
    if (not program.edits) != (sum(program.sites.values()) == 0):
        raise AssertionError(f"`{text}` reports the sites {program.sites} for {plural(len(program.edits), 'edit')}")
    return program


def assert_rejects(
    text: str, code: str, base: nn.Module | None = None, plugins: Vocabulary | Sequence[str | Path] = ()
) -> Diagnostic:
    """Check that a recipe fails to compile with exactly one error.

    Args:
        text: The text of the recipe.
        code: The code of the error, such as ``E101``.
        base: A model of your own to rewrite, such as that of `small`.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.

    Returns:
        The error, for assertions about its message or place.

    Raises:
        AssertionError: If the recipe compiles, or fails with other errors.

    >>> assert_rejects("base vgg11; tweak D", "E101").message
    '`tweak D` has no site in `vgg11`'
    """
    try:
        compile(text, base=base, device="meta", plugins=plugins)
    except RecipeError as error:
        codes = [diagnostic.code for diagnostic in error.diagnostics]
        if codes != [code]:
            raise AssertionError(f"`{text}` is rejected with {', '.join(codes)}, not {code}:\n{error}") from error
        return error.diagnostics[0]
    raise AssertionError(f"`{text}` compiles, but should be rejected with {code}")
