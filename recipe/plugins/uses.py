"""The tricks of a plan, with the origins of their values, and the view of a plan that tricks get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from recipe.base.source import Span
from recipe.base.wording import summary_line
from recipe.plugins.declared import Declared
from recipe.plugins.during import ALWAYS, SPAN, SPAN_WORDS, During
from recipe.plugins.field_contracts import ImageFields
from recipe.plugins.fields import Field
from recipe.plugins.kinds import FilePath
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training
from recipe.plugins.trick import Trick


@attrs.frozen
class Origin:
    """The origin of a value: a place in a file or on the command line, a suggestion, a dialect, or a default."""

    kind: str  # "file", "override", "suggestion", "dialect" or "default"
    text: str
    span: Span | None = attrs.field(default=None, eq=False, repr=False)

    def __str__(self) -> str:
        return self.text


@attrs.frozen
class Use:
    """One trick of a plan, with the origin of each of its fields."""

    trick: Trick
    origins: Mapping[str, Origin] = attrs.field(eq=False)
    origin: Origin = attrs.field(eq=False)
    declared: Declared = attrs.field(eq=False, repr=False)
    """What the trick declares, with its package and the position of its verb from the plan's vocabulary."""
    during: During = ALWAYS
    """The part of the training in which it acts, which `from=` and `until=` set."""

    @property
    def word(self) -> str:
        return self.declared.word

    @property
    def span(self) -> Span | None:
        return self.origin.span

    @property
    def stated(self) -> bool:
        """Whether the recipe itself has it, not only its dialect."""
        return self.origin.kind in ("file", "override")

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of the trick, and those of its span that are set."""
        return (*self.declared.fields, *(field for field in SPAN if self.value(field) is not None))

    def value(self, field: Field) -> Any:
        """Return the value of a field, which may be one of its span."""
        return getattr(self.during if field.word in SPAN_WORDS else self.trick, field.name)

    def origin_of(self, field: Field) -> str:
        """Return the origin of the value of a field, which may be one of its span."""
        return str(self.origins.get(field.name, "default"))

    @property
    def values(self) -> dict[str, Any]:
        return {field.name: getattr(self.trick, field.name) for field in self.declared.fields}

    @property
    def first(self) -> str:
        """Its first value, such as a model's name, or its words if it has no values."""
        return str(next(iter(self.values.values()), self.word))

    def place(self, field: str) -> Span | None:
        """Return the span in the recipe that gives a field its value, or the span of the trick's words."""
        origin = self.origins.get(field)
        return (origin and origin.span) or self.span

    def named_in(self, message: str) -> Span | None:
        """Return the span of the path that a message names, among those that the recipe states, or None."""
        named = {path: span for path, span in self._paths.items() if path in message}
        return named[max(named, key=len)] if named else None

    @property
    def source(self) -> Span | None:
        """The span of the first path that the recipe states for the trick, or the span of the trick's words."""
        return next(iter(self._paths.values()), self.span)

    @property
    def _paths(self) -> dict[str, Span]:
        """The paths that the recipe states, with their spans."""
        fields = (field for field in self.declared.fields if isinstance(field.kind, FilePath))
        stated = ((self.value(field), self.origins.get(field.name)) for field in fields)
        return {value: at.span for value, at in stated if isinstance(value, str) and at is not None and at.span}

    def identity(self) -> dict[str, Any]:
        """Return the plain JSON values that can change the result of a training, by field.

        A field does not count if its value is None, or the one that stands for the time before the field existed.
        """
        values = ((field, self.value(field)) for field in self.fields if field.result)
        return {
            field.formerly or field.name: field.kind.identity(value)
            for field, value in values
            if value is not None and value != field.before
        }

    @property
    def rewriting(self) -> str:
        """What the trick does to a network, in a sentence: the summary of its hook `rewrite`, or else its own."""
        hook = type(self.trick).rewrite if self.trick.overrides("rewrite") else None
        return (hook and summary_line(hook)) or summary_line(type(self.trick))

    def statement(self) -> str:
        """Return this trick as a statement with all values that can be stated, those without a name first."""
        parts, named = [self.word], False
        for field in self.fields:
            value = self.value(field)
            named = named or value is None or not field.required  # the next value must not take its place
            if value is not None:
                text = field.kind.write(value)
                parts.append(f"{field.word}={text}" if named else text)
        return " ".join(parts)


@attrs.frozen
class PlanView:
    """The part of a `Plan` that a trick may read."""

    dialect: str
    """The name of the recipe's dialect: ``paper``, ``gluoncv`` or ``torchvision``."""
    uses: tuple[Use, ...]
    """Its tricks, in the order in which they apply."""
    training: Training = attrs.field(eq=False)
    """The training settings that its tricks make."""

    @property
    def base(self) -> Use:
        """The trick that builds the stock model, whatever its verb."""
        return next(use for use in self.uses if use.trick.overrides("build"))

    @property
    def model(self) -> str:
        """The name of the stock model, as the recipe writes it."""
        return self.base.first

    def find(self, word: str) -> Use | None:
        """Return the trick with exactly these words, or None."""
        return next((use for use in self.uses if use.word == word), None)

    def use(self, verb: str) -> Use | None:
        """Return the first trick of a verb, whatever its clause, or None."""
        return next((use for use in self.uses if use.declared.verb == verb), None)

    def hooked(self, hook: str) -> tuple[Use, ...]:
        """Return the uses of tricks that implement a hook, in order."""
        return tuple(use for use in self.uses if use.trick.overrides(hook))

    def acting(self, hook: str, progress: Progress | None) -> tuple[Use, ...]:
        """Return the uses of tricks that implement a hook and act at a step, in order. None stands for any step."""
        return tuple(use for use in self.hooked(hook) if progress is None or use.during.holds(progress))

    @property
    def images(self) -> Use | None:
        """The trick that opens the images, whatever its verb, or None if the recipe has none."""
        return next(iter(self.hooked("open")), None)

    @property
    def image_fields(self) -> ImageFields | None:
        """The fields of that trick: the size of the images, and how they are loaded."""
        return ImageFields.of(self.images.trick) if self.images else None
