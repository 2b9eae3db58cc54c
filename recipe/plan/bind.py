"""From syntax to meaning: the layers of a recipe are bound with a vocabulary, merged, ordered and asked: a `Plan`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source, Span
from recipe.language.ast import Statement, Word
from recipe.language.overlays import collect
from recipe.language.recipe_input import read
from recipe.plan.configure import configured
from recipe.plan.merge import Merged, merge
from recipe.plan.ordering import clashes, solve
from recipe.plan.plan import Plan
from recipe.plan.resolve import ResolvedTrick, named
from recipe.plan.suggestions import suggestions
from recipe.plugins.calling import call_hook
from recipe.plugins.fields import FieldContext
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import Vocabulary, words_of

MAX_TEACHERS = 4
"""How deep recipes may name teachers that name teachers."""


def bind(
    sources: Sequence[Source], vocabulary: Vocabulary | None = None, *, data: bool = False, trail: tuple[Path, ...] = ()
) -> Plan:
    """The plan of some sources, later ones over earlier ones. All errors are raised at once, as a `RecipeError`.

    ``data`` adds the embedded data set where the recipe names none, as a run does. ``trail`` holds the files of the
    recipes that name this one for a teacher.
    """
    trail = trail or tuple(source.path for source in sources if source.path)
    return _Binder(vocabulary or Vocabulary.installed(), tuple(sources), trail).bind(sources, data=data)


@attrs.frozen
class _Binder:
    """Binds sources with a vocabulary.

    ``asked`` are the sources of the recipe that was asked for; ``trail`` holds the recipes that led here, for teachers
    of teachers.
    """

    vocabulary: Vocabulary
    asked: tuple[Source, ...]
    trail: tuple[Path, ...]
    teachers: dict[Path, str | None] = attrs.field(factory=dict)
    """Digests of the teachers that were bound so far; None for one with errors. Each is read and told of once."""

    def bind(self, sources: Sequence[Source], *, data: bool) -> Plan:
        layers = collect(sources)

        def name(statement: Statement, source: Source) -> list[ResolvedTrick]:
            try:
                return named(statement, self.vocabulary, FieldContext(source.folder, self._teacher), source)
            except RecipeError as error:
                layers.errors.extend(error.diagnostics)
                return []

        merged = merge(layers, self.vocabulary, name, data=data)
        sound = _fill(merged, self.vocabulary, layers.dialect, layers.errors)
        errors = [*layers.errors, *clashes(sound, [*map(words_of, self.vocabulary.keys())])]
        if layers.errors:  # what seems to be missing may stand in a statement that is wrong
            errors = [error for error in errors if error.code != "E031"]
        elif not any(use.trick.overrides("build") for use in sound):
            help = "begin with the model: `base resnet50`"
            errors.append(Diagnostic("E050", "the recipe has no `base`", Span(sources[0], 0, 0), help=help))
        if errors:
            raise RecipeError(*dict.fromkeys(errors))
        uses = solve(sound)
        training, makers = configured(uses)
        plan = Plan(layers.dialect, uses, training, makers, sources=tuple(sources), vocabulary=self.vocabulary)
        return _judged(plan)

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
        errors: Sequence[Diagnostic] = ()
        if path not in self.teachers:
            source = read(path, str(word.value), word.span)
            self.teachers[path] = None
            try:
                self.teachers[path] = attrs.evolve(self, trail=(*self.trail, path)).bind([source], data=True).digest
            except RecipeError as error:
                errors = error.diagnostics
        digest = self.teachers[path]
        if digest is None:
            raise bad_teacher(str(word.value), path, word.span, errors, self.asked)
        return digest


def bad_teacher(
    name: str, path: Path, span: Span | None, errors: Sequence[Diagnostic], asked: Iterable[Source]
) -> RecipeError:
    """What to tell of the errors of a teacher, named at ``span`` by the recipe of some sources or one of its teachers.

    A recipe may name any file as its teacher, and a check of a stranger's recipe must not publish what lies on the
    machine. Of a file outside of the recipe's folder tree only the codes of its errors are told, and nothing that it
    holds.
    """
    error = Diagnostic("E060", f"the teacher `{name}` has errors of its own", span)
    if not errors or any(path.resolve().is_relative_to(source.folder.resolve()) for source in asked):
        return RecipeError(error, *errors)
    counts = Counter(one.code for one in errors)
    message = f"{error.message}: {', '.join(f'{number} × {code}' for code, number in sorted(counts.items()))}"
    help = "it lies outside of the recipe's folder; `recipe check` of the teacher itself shows them"
    return RecipeError(attrs.evolve(error, message=message, help=help))


def _fill(merged: Merged, vocabulary: Vocabulary, dialect: str, errors: list[Diagnostic]) -> list[Use]:
    """Every trick with all its values; the tricks' suggestions are asked first. Those that can't be are told."""
    suggested, wrong = suggestions(merged, vocabulary, dialect)
    errors += wrong
    filled = []
    for one in merged.values():
        try:
            filled.append(one.fill(dialect, suggested))
        except RecipeError as error:
            errors += error.diagnostics
    return filled


def _judged(plan: Plan) -> Plan:
    """The plan with what its tricks warn of, and what published tables say of them."""
    said = [(use, call_hook(use, "check", plan)) for use in plan.uses]
    warnings = [Diagnostic("W001", text, use.span) for use, texts in said for text in texts]
    found = [(use, call_hook(use, "evidence", plan)) for use in plan.uses]
    evidence = tuple((use, one) for use, several in found for one in several)
    against = [
        Diagnostic("W002", one.text, use.span, help=f"see {one.table}")
        for use, one in evidence
        if one.verdict == "against"
    ]
    return attrs.evolve(plan, warnings=(*warnings, *against), evidence=evidence)
