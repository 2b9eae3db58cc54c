"""From a recipe to what it means: its layers are bound with a vocabulary, merged, ordered and asked: a `Plan`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source, Span
from recipe.language.ast import Statement, Word
from recipe.language.overlays import collect
from recipe.language.recipe_input import override, read, source_from
from recipe.plan.merge import Merged, merge, suggestions
from recipe.plan.ordering import clashes, configured, solve
from recipe.plan.plan import Plan
from recipe.plan.resolve import ResolvedTrick, named
from recipe.plugins.calling import call_hook
from recipe.plugins.fields import FieldContext
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import Vocabulary, words_of

LOCK = "recipe.lock"
"""The file in the folder of a run that holds its recipe."""

MAX_TEACHERS = 4
"""How deep recipes may name teachers that name teachers."""


def resolve(
    recipe: str | Path | Source | Plan,
    *statements: str,
    vocabulary: Vocabulary | None = None,
    data: bool = False,
    below: Source | None = None,
) -> Plan:
    """The plan of a recipe (text, a path, the folder of a run, a source, or a plan) under some statements.

    A plan is taken as it is where nothing is to be changed, and is otherwise bound again with ``vocabulary``, else with
    its own. ``data`` adds the embedded images where the recipe names none; those of a plan stay. ``below`` is laid
    under everything else, but under a plan, which has it already. Raises `RecipeError`, and `TypeError` for anything
    else.
    """
    if isinstance(recipe, Plan):
        data = data or recipe.images is not None
        if not statements and data == (recipe.images is not None):
            return recipe
        return bind([*recipe.sources, *override(statements)], vocabulary or recipe.vocabulary, data=data)
    if isinstance(recipe, (str, Path)) and os.path.isfile(os.path.join(recipe, LOCK)):  # takes any text for a path
        recipe = Path(recipe) / LOCK
    sources = [below] if below else []
    return bind([*sources, source_from(recipe), *override(statements)], vocabulary, data=data)


def bind(sources: Sequence[Source], vocabulary: Vocabulary | None = None, *, data: bool = False) -> Plan:
    """The plan of some sources, later ones over earlier ones. All errors are raised at once, as a `RecipeError`.

    ``data`` adds the embedded data set where the recipe names none, as a run does.
    """
    trail = tuple(source.path for source in sources if source.path)
    return _Binder(vocabulary or Vocabulary.installed(), tuple(sources), trail).bind(sources, data=data)


@attrs.frozen
class _Binder:
    """Binds a recipe, and the teachers that it names, with a vocabulary."""

    vocabulary: Vocabulary
    asked: tuple[Source, ...]
    """The sources of the recipe that was asked for."""
    trail: tuple[Path, ...]
    """The files that led here, each the teacher of the one before it."""
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
        plan = Plan(layers.dialect, uses, training, makers=makers, sources=tuple(sources), vocabulary=self.vocabulary)
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
    counts = Counter(problem.code for problem in errors)
    message = f"{error.message}: {', '.join(f'{number} × {code}' for code, number in sorted(counts.items()))}"
    help = "it lies outside of the recipe's folder; `recipe check` of the teacher itself shows them"
    return RecipeError(attrs.evolve(error, message=message, help=help))


def _fill(merged: Merged, vocabulary: Vocabulary, dialect: str, errors: list[Diagnostic]) -> list[Use]:
    """Every trick with all its values; the tricks' suggestions are asked first. Those that can't be are told."""
    suggested = suggestions(merged, vocabulary, dialect, errors)
    filled = []
    for resolved in merged.values():
        try:
            filled.append(resolved.fill(dialect, suggested))
        except RecipeError as error:
            errors += error.diagnostics
    return filled


def _judged(plan: Plan) -> Plan:
    """The plan with what its tricks warn of, and what published tables say of them."""
    warnings = [
        Diagnostic("W001", text, use.span) for use in plan.hooked("check") for text in call_hook(use, "check", plan)
    ]
    evidence = tuple((use, finding) for use in plan.hooked("evidence") for finding in call_hook(use, "evidence", plan))
    against = [
        Diagnostic("W002", finding.text, use.span, help=f"see {finding.table}")
        for use, finding in evidence
        if finding.verdict == "against"
    ]
    return attrs.evolve(plan, warnings=(*warnings, *against), evidence=evidence)
