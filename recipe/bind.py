"""From syntax to meaning: the layers of a recipe are bound with a vocabulary, merged, ordered and asked: a `Plan`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from recipe.diagnostics import Diagnostic, RecipeError, fail
from recipe.fields import Reading
from recipe.guest import ask
from recipe.layers import collect
from recipe.merge import Merged, merge
from recipe.plan import Plan, Use
from recipe.registry import Vocabulary
from recipe.slots import clashes, solve
from recipe.source import Source, Span
from recipe.statements import Named, named
from recipe.syntax import Statement, Word, read
from recipe.training import Training
from recipe.trick import Trick

MAX_TEACHERS = 4
"""How deep recipes may name teachers that name teachers."""


def bind(
    sources: Sequence[Source], vocabulary: Vocabulary | None = None, *, data: bool = False, trail: tuple[Path, ...] = ()
) -> Plan:
    """The plan of some sources, later ones over earlier ones. All errors are raised at once, as a `RecipeError`.

    ``data`` adds the embedded data set where the recipe names none, as a run does. ``trail`` holds the files of the
    recipes that name this one for a teacher.
    """
    return _Binder(vocabulary or Vocabulary.installed(), trail).bind(sources, data=data)


@attrs.frozen
class _Binder:
    """Binds sources with a vocabulary; ``trail`` holds the recipes that led here, for teachers of teachers."""

    vocabulary: Vocabulary
    trail: tuple[Path, ...] = ()
    teachers: dict[Path, str | None] = attrs.field(factory=dict)
    """Digests of the teachers that were bound so far; None for one with errors. Each is read and told of once."""

    def bind(self, sources: Sequence[Source], *, data: bool) -> Plan:
        if not self.trail:
            trail = tuple(source.path for source in sources if source.path)
            if trail:
                return attrs.evolve(self, trail=trail).bind(sources, data=data)
        layers = collect(sources)

        def name(statement: Statement, source: Source) -> list[Named]:
            try:
                return named(statement, self.vocabulary, Reading(source.folder, self._teacher), source)
            except RecipeError as error:
                layers.errors.extend(error.diagnostics)
                return []

        merged = merge(layers, self.vocabulary, name, data=data)
        sound = _fill(merged, layers.dialect, layers.errors)
        errors = [*layers.errors, *clashes(sound)]
        if layers.errors:  # what seems to be missing may stand in a statement that is wrong
            errors = [error for error in errors if error.code != "E031"]
        elif not any(use.trick.overrides("build") for use in sound):
            help = "begin with the model: `base resnet50`"
            errors.append(Diagnostic("E050", "the recipe has no `base`", Span(sources[0], 0, 0), help=help))
        if errors:
            raise RecipeError(*dict.fromkeys(errors))
        uses = solve(sound)
        training = Training()
        for use in uses:
            training = ask(use, "configure", training)
        return _judged(Plan(layers.dialect, uses, training, sources=tuple(sources), vocabulary=self.vocabulary))

    def _teacher(self, path: Path, word: Word) -> str:
        """The digest of the plan of a recipe that another one names."""
        try:
            path = path.resolve()
        except (OSError, RuntimeError):
            message = f"`{word.value}` leads nowhere: its symbolic links are a circle"
            raise fail("E001", message, word.span) from None
        if path in self.trail:
            raise fail("E061", f"`{path.name}` is its own teacher", word.span)
        if len(self.trail) > MAX_TEACHERS:
            raise fail("E043", f"teachers are nested more than {MAX_TEACHERS} deep", word.span)
        errors = [Diagnostic("E060", f"the teacher `{word.value}` has errors of its own", word.span)]
        if path not in self.teachers:
            source = read(path, str(word.value), word.span)
            self.teachers[path] = None
            try:
                self.teachers[path] = attrs.evolve(self, trail=(*self.trail, path)).bind([source], data=True).digest
            except RecipeError as error:
                errors += error.diagnostics
        digest = self.teachers[path]
        if digest is None:
            raise RecipeError(*errors)
        return digest


def _fill(merged: Merged, dialect: str, errors: list[Diagnostic]) -> list[Use]:
    """Every trick with all its values; the tricks' suggestions are asked first. Those that can't be are told."""
    suggestions: dict[str, tuple[Any, str]] = {}
    for _, one in sorted(merged.items(), key=lambda pair: (pair[0][0], pair[0][1] or "")):
        if one.trick.suggest is not Trick.suggest:
            use = one.fill(dialect, {})
            by = f"{use.word} {use.first}" if use.trick.overrides("build") else use.word
            suggestions |= {field: (value, f"`{by}`") for field, value in ask(use, "suggest").items()}
    filled = []
    for one in merged.values():
        try:
            filled.append(one.fill(dialect, suggestions))
        except RecipeError as error:
            errors += error.diagnostics
    return filled


def _judged(plan: Plan) -> Plan:
    """The plan with what its tricks warn of, and what published tables say of them."""
    said = [(use, ask(use, "check", plan)) for use in plan.uses]
    warnings = [Diagnostic("W001", text, use.span) for use, texts in said for text in texts]
    found = [(use, ask(use, "evidence", plan)) for use in plan.uses]
    evidence = tuple((use, one) for use, several in found for one in several)
    against = [
        Diagnostic("W002", one.text, use.span, help=f"see {one.table}")
        for use, one in evidence
        if one.verdict == "against"
    ]
    return attrs.evolve(plan, warnings=(*warnings, *against), evidence=evidence)
