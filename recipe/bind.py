"""From syntax to meaning: words are looked up in the vocabulary, values are typed, layers are merged into a `Plan`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from recipe.api import Evidence, Trick
from recipe.diagnostics import Diagnostic, RecipeError, fail, listing, nearest, plural
from recipe.fields import Field, Later, Reading, Unfit
from recipe.guest import quiet
from recipe.layers import Drop, Layers, collect, dialect_recipe
from recipe.plan import Origin, Plan, Use
from recipe.registry import DIRECTIVES, Key, Vocabulary
from recipe.slots import EXCLUSIVE, clashes, solve
from recipe.source import Source, Span
from recipe.syntax import Item, Recipe, Statement, Word, parse, read
from recipe.training import Training

MAX_TEACHERS = 4
"""How deep recipes may name teachers that name teachers."""

DEFAULT_DATA = "data digits"
"""What a run trains on where the recipe names no data."""


@attrs.frozen
class Group:
    """A verb or clause as it stands in a statement: the trick it names and the items that belong to it."""

    trick: type[Trick]
    words: Span
    given: Mapping[str, tuple[Any, Span]]
    source: Source

    @property
    def origin(self) -> Origin:
        if self.source.kind == "dialect":
            return Origin("dialect", self.source.name)
        return Origin(self.source.kind, self.words.place, self.words)

    def fill(self, dialect: str, suggestions: Mapping[str, tuple[Any, str]]) -> Use:
        """The trick itself: what is given, else what is suggested, else the dialect's default, else the default.

        Raises `RecipeError` for a teacher that can't be.
        """
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for field in self.trick.declared.fields:
            suggestion = suggestions.get(f"{self.trick.declared.verb} {field.name}")
            if field.name in self.given:
                value, span = self.given[field.name]
                values[field.name] = value.make() if isinstance(value, Later) else value
                origins[field.name] = Origin(self.source.kind, span.place, span)
            elif suggestion is not None:
                if not field.kind.holds(suggestion[0]):
                    message = (
                        f"{suggestion[1]} suggests {suggestion[0]!r} for {field.word} of `{self.trick.declared.word}`"
                    )
                    raise fail("E080", f"{message}, which takes {field.kind.expects}", self.words)
                values[field.name] = suggestion[0]
                origins[field.name] = Origin("suggestion", f"suggested by {suggestion[1]}")
            elif dialect in field.dialects:
                values[field.name] = field.dialects[dialect]
                origins[field.name] = Origin("dialect", f"dialect {dialect}")
            else:
                values[field.name] = field.default
                chosen = self.source.kind == "dialect" and self.trick.declared.clause is not None
                origins[field.name] = self.origin if chosen else Origin("default", "default")
        return Use(self.trick(**values), origins, self.origin)


@attrs.frozen
class Binder:
    """Binds statements with a vocabulary; ``trail`` holds the recipes that led here, for teachers of teachers."""

    vocabulary: Vocabulary
    trail: tuple[Path, ...] = ()
    teachers: dict[Path, str | None] = attrs.field(factory=dict)
    """Digests of the teachers that were bound so far; None for one with errors. Each is read and told of once."""

    def opened(self, statement: Statement) -> list[tuple[type[Trick], Span, list[Item]]]:
        """The tricks that a statement names, each with its words and the items after them, which are not read yet."""
        verb = statement.verb
        if verb.text not in self.vocabulary.verbs():
            near = nearest(verb.text, self.vocabulary.verbs())
            help = f"did you mean `{near}`?" if near else "`recipe tricks` lists the vocabulary"
            raise fail("E020", f"there is no verb `{verb.text}`", verb.span, help=help)
        clauses = self.vocabulary.clauses(verb.text)
        opened: list[tuple[type[Trick], Span, list[Item]]] = []
        for item in statement.items:
            if item.name is None and item.value.kind == "name" and item.value.text in clauses:
                self._one_meaning(verb, opened, item)
                trick = self.vocabulary.load(verb.text, item.value.text, item.span)
                opened.append((trick, item.span, []))
                continue
            if not opened:
                if not self.vocabulary.has(verb.text):
                    raise self._unknown(verb.text, item, clauses, None)
                opened.append((self.vocabulary.load(verb.text, None, verb.span), verb.span, []))
            trick, _, items = opened[-1]
            items.append(item)
        if not statement.items:
            if not self.vocabulary.has(verb.text):
                raise fail("E025", f"`{verb.text}` needs a word after it", verb.span, help=f"one of {listing(clauses)}")
            opened.append((self.vocabulary.load(verb.text, None, verb.span), verb.span, []))
        return opened

    def _one_meaning(self, verb: Word, opened: Sequence[tuple[type[Trick], Span, list[Item]]], item: Item) -> None:
        """See that a clause's name is no value of the trick before it as well, where it is of another package."""
        before = opened[-1][0] if opened else None
        if before is None and self.vocabulary.has(verb.text):
            with contextlib.suppress(RecipeError):  # a verb's own trick that is broken spoils no clause
                before = self.vocabulary.load(verb.text, None, verb.span)
        for field in before.declared.fields if before else ():
            if item.value.text in getattr(field.kind, "words", ()):
                message = (
                    f"`{verb.text} {item.value.text}` would mean two things: a clause, and a value of {field.word}"
                )
                raise fail("E081", message, item.span, help=f"for the value, write `{field.word}={item.value.text}`")

    def groups(self, statement: Statement, source: Source) -> list[Group]:
        """The verb and the clauses of one statement (rules 1 to 4 of the language)."""
        clauses = self.vocabulary.clauses(statement.verb.text)
        errors: list[Diagnostic] = []
        groups = []
        for trick, words, items in self.opened(statement):
            try:
                groups.append(Group(trick, words, self._values(trick, words, items, source, clauses), source))
            except RecipeError as error:
                errors += error.diagnostics
        if errors:
            raise RecipeError(*errors)
        return groups

    def _unknown(self, verb: str, item: Item, clauses: set[str], field: Field | None) -> RecipeError:
        words = clauses | (set(getattr(field.kind, "words", ())) if field else set())
        if item.name is not None:
            message = f"`{verb}` has no field `{item.name.text}`"
            if clauses:
                return fail("E022", message, item.name.span, help=f"fields belong to a clause: {listing(clauses)}")
            return fail("E022", message, item.name.span)
        near = nearest(item.value.text, words)
        help = f"did you mean `{near}`?" if near else f"`{verb}` knows {listing(words)}" if words else ""
        return fail("E021", f"`{verb}` does not know `{item.value.text}`", item.span, help=help)

    def _values(
        self, trick: type[Trick], words: Span, items: Sequence[Item], source: Source, clauses: set[str]
    ) -> dict[str, tuple[Any, Span]]:
        declared = trick.declared
        fields = {field.word: field for field in declared.fields}
        reading = Reading(source.folder, self._teacher)
        given: dict[str, tuple[Any, Span]] = {}
        errors: list[Diagnostic] = []
        field: Field | None = None
        for item in items:
            try:
                if field is None or not field.kind.many or item.name is not None:  # which takes all that follows
                    field = self._field(declared.word, fields, item, given, clauses)
                try:
                    value = field.kind.read(item.value, reading)
                except Unfit as unfit:
                    raise self._unfit(unfit, declared.word, field, item, clauses, fields) from None
                if field.kind.many:
                    before, span = given.get(field.name, ((), item.span))
                    if before and value <= before[-1]:
                        message = f"`{declared.word}` takes rising numbers, and {item.value.text} does not rise"
                        raise fail("E024", message, item.span)
                    given[field.name] = ((*before, value), span.to(item.span))
                else:
                    given[field.name] = (value, item.span)
            except RecipeError as error:
                errors += error.diagnostics
                break  # what follows would be read amiss
        missing = [field for field in declared.fields if field.required and field.name not in given]
        if missing and not errors:
            field = missing[0]
            message = f"`{declared.word}` needs {field.kind.expects}"
            errors.append(Diagnostic("E025", message, words, help=f"`{declared.syntax}`: {field.help}"))
        if errors:
            raise RecipeError(*errors)
        return given

    def _field(
        self, word: str, fields: dict[str, Field], item: Item, given: Mapping[str, Any], clauses: set[str]
    ) -> Field:
        if item.name is not None:
            name = item.name.text
            if name not in fields:
                near = nearest(name, fields)
                help = f"did you mean `{near}`?" if near else f"it has {listing(fields)}" if fields else "it has none"
                raise fail("E022", f"`{word}` has no field `{name}`", item.name.span, help=help)
            field = fields[name]
            if field.name in given:
                where = given[field.name][1]
                message = f"`{name}` of `{word}` is given twice"
                raise fail("E027", message, item.span, others=((where, "it is given here"),))
            return field
        free = [field for field in fields.values() if field.name not in given or field.kind.many]
        if not free:
            if item.value.kind == "name":
                raise self._unknown(word.split()[0], item, clauses, None)
            takes = plural(len(fields), "value") if fields else "no value"
            raise fail("E026", f"`{word}` takes {takes}, and `{item.value.text}` is one more", item.span)
        return free[0]

    def _unfit(
        self, unfit: Unfit, word: str, field: Field, item: Item, clauses: set[str], fields: Mapping[str, Field]
    ) -> RecipeError:
        name = item.value
        if name.kind == "name" and item.name is None and not field.kind.takes_name(name.text):
            for other in fields.values():
                if name.text in getattr(other.kind, "words", ()):
                    message = f"`{word}` takes {field.word} first, and `{name.text}` is none"
                    return fail("E023", message, name.span, help=f"did you mean `{other.word}={name.text}`?")
            if not getattr(field.kind, "words", ()) and not nearest(name.text, clauses):
                return fail("E023", f"`{word}` {unfit.message}", name.span, help=unfit.help)
            return self._unknown(word.split()[0], item, clauses, field)
        subject = f"`{word}`" if item.name is None else f"`{item.name.text}` of `{word}`"
        return fail(
            unfit.code, f"{subject} {unfit.message}", name.span, help=unfit.help or f"{field.word}: {field.help}"
        )

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

    def bind(self, sources: Sequence[Source], *, data: bool) -> Plan:
        """The plan of some sources, later ones over earlier ones. All errors are raised at once.

        ``data`` adds the embedded data set where the recipe names none, as a run does.
        """
        if not self.trail:
            trail = tuple(source.path for source in sources if source.path)
            if trail:
                return attrs.evolve(self, trail=trail).bind(sources, data=data)
        layers = collect(sources)
        merged = self._merge(layers, data)
        sound = _fill(merged, layers.dialect, layers.errors)
        errors = [*layers.errors, *clashes(sound)]
        if layers.errors:  # what seems to be missing may stand in a statement that is wrong
            errors = [error for error in errors if error.code != "E031"]
        elif not any(use.trick.overrides("build") for use in sound):
            help = "begin with the model: `base resnet50`"
            errors.append(Diagnostic("E050", "the recipe has no `base`", Span(sources[0], 0, 0), help=help))
        if errors:
            raise RecipeError(*_unique(errors))
        uses = solve(sound)
        training = Training()
        for use in uses:
            training = _asked(use, _configured, use.trick, training)
        plan = Plan(layers.dialect, uses, training, sources=tuple(sources), vocabulary=self.vocabulary)
        said = [(use, _asked(use, lambda trick, plan: list(trick.check(plan)), use.trick, plan)) for use in uses]
        warnings = [Diagnostic("W001", text, use.span) for use, texts in said for text in texts]
        found = [(use, _asked(use, _evidence, use.trick, plan)) for use in uses]
        evidence = tuple((use, one) for use, several in found for one in several)
        warnings += [
            Diagnostic("W002", one.text, use.span, help=f"see {one.table}")
            for use, one in evidence
            if one.verdict == "against"
        ]
        return attrs.evolve(plan, warnings=tuple(warnings), evidence=evidence)

    def _merge(self, layers: Layers, data: bool) -> dict[Key, Group]:
        merged: dict[Key, Group] = {}
        for layer in layers.layers:
            for drop in layer.drops:
                _take_out(drop, merged, self.vocabulary, layers)
            here: dict[Key, Group] = {}
            for statement in layer.statements:
                for group in self._bound(statement, layer.source, layers.errors):
                    key = (group.trick.declared.verb, group.trick.declared.clause)
                    if key in here:
                        places = ((here[key].words, "it is here"),)
                        message = f"`{group.trick.declared.word}` is said twice"
                        layers.errors.append(Diagnostic("E028", message, group.words, "", places, "leave one out"))
                    here[key] = group
            for key in [key for key in merged if any(_takes_place(new, merged[key]) for new in here.values())]:
                del merged[key]
            merged |= here
        implied = [(dialect_recipe(layers.dialect), layers.dialect)]
        if data:
            implied.append((parse(Source("default", DEFAULT_DATA, Path.cwd(), "dialect"))[0], ""))
        for recipe, _ in implied:
            self._imply(recipe, merged, layers.errors)
        return merged

    def _bound(self, statement: Statement, source: Source, errors: list[Diagnostic]) -> list[Group]:
        try:
            return self.groups(statement, source)
        except RecipeError as error:
            errors += error.diagnostics
            return []

    def _imply(self, recipe: Recipe, merged: dict[Key, Group], errors: list[Diagnostic]) -> None:
        for statement in recipe.statements:
            for group in self._bound(statement, recipe.source, errors):
                key = (group.trick.declared.verb, group.trick.declared.clause)
                if key not in merged and not any(_decides_alike(other, group) for other in merged.values()):
                    merged[key] = group


def _decides_alike(stated: Group, implied: Group) -> bool:
    """Whether what is stated, whatever its verb, decides what a dialect's statement would."""
    return bool({*stated.trick.declared.writes} & {*implied.trick.declared.writes} & EXCLUSIVE.keys())


def _takes_place(new: Group, old: Group) -> bool:
    """Whether a later layer's trick replaces an earlier one's: the same words, or the same verb and exclusive slot."""
    a, b = new.trick.declared, old.trick.declared
    return a.word == b.word or (a.verb == b.verb and bool(set(a.writes) & set(b.writes) & EXCLUSIVE.keys()))


def _take_out(drop: Drop, merged: dict[Key, Group], vocabulary: Vocabulary, layers: Layers) -> None:
    keys = [key for key in merged if key[0] == drop.verb and drop.clause in (None, key[1])]
    for key in keys:
        del merged[key]
    if keys:
        return
    items = drop.statement.items
    if drop.verb not in vocabulary.verbs() - set(DIRECTIVES):
        near = nearest(drop.verb, vocabulary.verbs() - set(DIRECTIVES))
        help = f"did you mean `{near}`?" if near else ""
        layers.errors.append(Diagnostic("E020", f"there is no verb `{drop.verb}`", items[0].span, help=help))
    elif drop.clause is not None and drop.clause not in vocabulary.clauses(drop.verb):
        near = nearest(drop.clause, vocabulary.clauses(drop.verb))
        help = f"did you mean `{near}`?" if near else ""
        message = f"`{drop.verb}` does not know `{drop.clause}`"
        layers.errors.append(Diagnostic("E021", message, items[1].span, help=help))
    else:
        said = listing({" ".join(word for word in key if word) for key in merged})
        help = f"the layers below say {said}" if merged else "no layer lies below this one"
        message = f"no layer below says `{' '.join(item.value.text for item in items)}`"
        layers.errors.append(Diagnostic("E044", message, drop.statement.span, help=help))


T = TypeVar("T")


def _evidence(trick: Trick, plan: Plan) -> list[Evidence]:
    found = list(trick.evidence(plan))
    if wrong := next((one for one in found if not isinstance(one, Evidence)), None):
        raise TypeError(f"evidence() gives a {type(wrong).__name__}, not Evidence")
    return found


def _configured(trick: Trick, training: Training) -> Training:
    changed = trick.configure(training)
    if not isinstance(changed, Training):
        raise TypeError(f"configure() gives a {type(changed).__name__}, not the training")
    return changed


def _asked(use: Use, hook: Callable[..., T], *arguments: object) -> T:
    """What a trick's hook gives; one that fails is a broken plugin, and spoils only its own words."""
    try:
        with quiet():
            return hook(*arguments)
    except RecipeError as error:  # what the trick itself refuses
        raise RecipeError(*(attrs.evolve(one, span=one.span or use.span) for one in error.diagnostics)) from None
    except Exception as error:
        message = f"`{use.word}` of {use.declared.package} is broken: {type(error).__name__}: {error}"
        raise fail("E080", message, use.span) from error


def _fill(merged: Mapping[Key, Group], dialect: str, errors: list[Diagnostic]) -> list[Use]:
    """Every trick with all its values; the tricks' suggestions are asked first. Those that can't be are told."""
    suggestions: dict[str, tuple[Any, str]] = {}
    for _, group in sorted(merged.items(), key=lambda pair: (pair[0][0], pair[0][1] or "")):
        if group.trick.suggest is not Trick.suggest:
            use = group.fill(dialect, {})
            named = (
                f"{use.word} {next(iter(use.values.values()), '')}".strip() if use.declared.verb == "base" else use.word
            )
            found = _asked(use, lambda trick: dict(trick.suggest()), use.trick)
            suggestions |= {name: (value, f"`{named}`") for name, value in found.items()}
    filled = []
    for group in merged.values():
        try:
            filled.append(group.fill(dialect, suggestions))
        except RecipeError as error:
            errors += error.diagnostics
    return filled


def _unique(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    return list(dict.fromkeys(diagnostics))


def bind(
    sources: Sequence[Source], vocabulary: Vocabulary | None = None, *, data: bool = False, trail: tuple[Path, ...] = ()
) -> Plan:
    """The plan of some sources: see `Binder.bind`."""
    return Binder(vocabulary or Vocabulary.installed(), trail).bind(sources, data=data)
