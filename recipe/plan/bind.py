"""Turn a recipe into a `Plan`: bind its layers against a vocabulary, merge them, and order and query the tricks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source, Span
from recipe.language.ast import Statement, Word
from recipe.language.overlays import collect
from recipe.language.recipe_input import LOCK, override, read, source_from
from recipe.plan.merge import Merged, merge, suggestions
from recipe.plan.metrics import check_metrics
from recipe.plan.ordering import configured, conflicts, solve
from recipe.plan.plan import Plan
from recipe.plan.plugin_lines import with_plugin
from recipe.plan.resolve import ResolvedTrick, named
from recipe.plan.spans import without_effect
from recipe.plan.untrained import digest_of_run, is_pretrained, text_of
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import Evidence
from recipe.plugins.kinds import FieldContext, RecipeFile
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import Vocabulary, words_of

TEXT = "<teacher>"
"""The name of a teacher that is stated as the text of a recipe."""

MAX_TEACHERS = 4
"""How many levels deep teachers may have teachers of their own."""


def resolve(
    recipe: str | Path | Source | Plan,
    *statements: str,
    plugins: Vocabulary | Sequence[str | Path] = (),
    data: bool = False,
    below: Source | None = None,
) -> Plan:
    """Return the plan of a recipe, in any form that `source_from` takes, or a plan, with statements applied on top.

    A plan is returned unchanged if there is nothing to apply. Otherwise, it is bound again, against its own vocabulary.
    ``plugins`` are files to add to the vocabulary, or one to use instead. ``data`` adds the embedded images if the
    recipe names none; a plan keeps its images. ``below`` is a layer below all others, except for a plan, which already
    contains it. Raises `RecipeError`, or `TypeError` for any other type.
    """
    if isinstance(recipe, Plan):
        data = data or recipe.images is not None
        if not statements and data == (recipe.images is not None):
            return recipe
        words = plugins if isinstance(plugins, Vocabulary) else recipe.vocabulary.extended(plugins)
        return bind([*recipe.sources, *override(statements)], words, data=data)
    words = plugins if isinstance(plugins, Vocabulary) else Vocabulary.installed(plugins)
    sources = [below] if below else []
    return bind([*sources, source_from(recipe, words.verbs()), *override(statements)], words, data=data)


def bind(
    sources: Sequence[Source],
    vocabulary: Vocabulary | None = None,
    *,
    data: bool = False,
    teachers: Mapping[Path, str] | None = None,
) -> Plan:
    """Return the plan of several sources, each applied on top of the ones before it.

    ``data`` adds the embedded dataset if the recipe names none, as a run does. ``teachers`` are the digests of the
    teachers' plans, by path: if given, the recipes of teachers are not read, and other teachers get an empty digest.
    Raises all errors as one `RecipeError`.
    """
    trail = tuple(source.path for source in sources if source.path)
    return _Binder(vocabulary or Vocabulary.installed(), tuple(sources), trail, teachers).bind(sources, data=data)


@attrs.frozen
class _Binder:
    """Binds a recipe, and the teachers that it names, against a vocabulary."""

    vocabulary: Vocabulary
    asked: tuple[Source, ...]
    """The sources of the requested recipe."""
    trail: tuple[Path, ...]
    """The files from the requested recipe to this one, each the teacher of the one before it."""
    stated: Mapping[Path, str] | None = None
    """The digests of teachers that are not read, or None to read them."""
    teachers: dict[tuple[Path, str], Plan | None] = attrs.field(factory=dict)
    """The plans of the teachers bound so far, by path and text, or None for one with errors.

    Each is read and reported once.
    """

    def bind(self, sources: Sequence[Source], *, data: bool) -> Plan:
        layers = collect(sources)

        def name(statement: Statement, source: Source) -> list[ResolvedTrick]:
            try:
                return named(statement, self.vocabulary, self._reading(source), source)
            except RecipeError as error:
                layers.errors.extend(with_plugin(error.diagnostics, statement, source))
                return []

        merged = merge(layers, self.vocabulary, name, data=data)
        sound = _fill(merged, self.vocabulary, layers.dialect, layers.errors)
        errors = [*layers.errors, *conflicts(sound, [*map(words_of, self.vocabulary.keys())])]
        if layers.errors:  # the missing trick may be in a statement with errors
            errors = [error for error in errors if error.code != "E031"]
        elif not any(use.trick.overrides("build") for use in sound):
            help = "start with a model: `base resnet50`"
            errors.append(Diagnostic("E050", "the recipe has no `base`", Span(sources[0], 0, 0), help=help))
        if errors:
            raise RecipeError(*dict.fromkeys(errors))
        uses = solve(sound)
        training, makers = configured(uses)
        plan = Plan(
            layers.dialect,
            uses,
            training,
            makers=makers,
            warnings=tuple(merged.warnings),
            barred=tuple(sorted(map(words_of, merged.barred))),
            sources=tuple(sources),
            vocabulary=self.vocabulary,
        )
        check_metrics(plan)
        return _judged(plan)

    def _reading(self, source: Source) -> FieldContext:
        return FieldContext(source.folder, partial(self._teacher, source.folder), source.is_lock)

    def _teacher(self, folder: Path, named: str, word: Word) -> RecipeFile:
        """Return the recipe or the run that another recipe names as its teacher: an absolute path, or a text.

        Paths in a text are relative to ``folder``.
        """
        if self.stated is not None:
            return RecipeFile(named, self.stated.get(Path(named), ""))
        is_text = not os.path.isabs(named)
        if not is_text and os.path.isfile(os.path.join(named, LOCK)):
            return RecipeFile(named, digest_of_run(Path(named), word))
        try:
            path = folder / TEXT if is_text else Path(named).resolve()
        except (OSError, RuntimeError):
            message = f"`{word.value}` can't be resolved: its symbolic links form a loop"
            raise fail("E001", message, word.span) from None
        if path in self.trail and not is_text:
            raise fail("E061", f"`{path.name}` is its own teacher", word.span)
        if len(self.trail) > MAX_TEACHERS:
            raise fail("E043", f"teachers are nested more than {MAX_TEACHERS} deep", word.span)
        errors: Sequence[Diagnostic] = ()
        key = (path, named if is_text else "")
        if key not in self.teachers:
            source = Source(TEXT, named, folder) if is_text else read(path, str(word.value), word.span)
            self.teachers[key] = None
            try:
                self.teachers[key] = attrs.evolve(self, trail=(*self.trail, path))._taught(source)
            except RecipeError as error:
                errors = error.diagnostics
        plan = self.teachers[key]
        if plan is None:
            raise bad_teacher(str(word.value), path, word.span, errors, self.asked)
        return RecipeFile(text_of(plan) if is_text else named, plan.digest)

    def _taught(self, source: Source) -> Plan:
        """Return the plan of a teacher: with the embedded images if it names none and is trained."""
        plan = self.bind([source], data=True)
        return self.bind([source], data=False) if is_pretrained(plan) else plan


def bad_teacher(
    name: str, path: Path, span: Span | None, errors: Sequence[Diagnostic], asked: Iterable[Source]
) -> RecipeError:
    """Return the error for a teacher with errors, named at ``span`` by the ``asked`` sources or one of their teachers.

    A recipe may name any file as its teacher, and checking an untrusted recipe must not disclose local files. For a
    file outside the recipe's folder tree, only the codes of its errors are reported, and none of its contents.
    """
    is_text = path.name == TEXT
    help = "no file or folder has this name, so it is read as the text of a recipe" if is_text else ""
    error = Diagnostic("E060", f"the teacher `{name}` has errors", span, help=help)
    if not errors or any(path.resolve().is_relative_to(source.folder.resolve()) for source in asked):
        return RecipeError(error, *errors)
    counts = Counter(problem.code for problem in errors)
    message = f"{error.message}: {', '.join(f'{number} × {code}' for code, number in sorted(counts.items()))}"
    help = "run `recipe check` on the teacher to see them; it is outside the recipe's folder"
    return RecipeError(attrs.evolve(error, message=message, help=help))


def _fill(merged: Merged, vocabulary: Vocabulary, dialect: str, errors: list[Diagnostic]) -> list[Use]:
    """Return every trick with all its values, including suggested ones. Add errors to ``errors``."""
    suggested = suggestions(merged, vocabulary, dialect, errors)
    filled = []
    for resolved in merged.values():
        try:
            filled.append(resolved.fill(dialect, suggested))
        except RecipeError as error:
            errors += error.diagnostics
    return filled


def _judged(plan: Plan) -> Plan:
    """Return the plan with the warnings of its spans and tricks, too, and the published evidence about its tricks.

    Raises all that the tricks raise as one `RecipeError`.
    """
    spans = without_effect(plan)
    errors, found = list[Diagnostic](), dict[str, list[tuple[Use, Any]]](check=[], evidence=[])
    for hook in found:
        for use in plan.hooked(hook):
            try:
                found[hook] += [(use, each) for each in call_hook(use, hook, plan)]
            except RecipeError as error:
                errors += error.diagnostics
    if errors:
        raise RecipeError(*errors)
    warnings = [
        *plan.warnings,
        *spans,
        *(Diagnostic("W001", text, use.named_in(text) or use.span) for use, text in found["check"]),
    ]
    evidence: tuple[tuple[Use, Evidence], ...] = tuple(found["evidence"])
    against = [
        Diagnostic("W002", finding.text, use.span, help=f"see {finding.source}")
        for use, finding in evidence
        if finding.verdict == "against"
    ]
    return attrs.evolve(plan, warnings=(*warnings, *against), evidence=evidence)


def teacher_plan(source: Source, vocabulary: Vocabulary) -> Plan:
    """Return the plan of a teacher's recipe, with the embedded images if it names none, unless it is not trained."""
    trail = (source.path,) if source.path else ()
    return _Binder(vocabulary, (source,), trail)._taught(source)
