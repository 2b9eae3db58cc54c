"""Spans: the part of a training in which a recipe uses a trick, given by `from=` and `until=`. Works without torch."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import Any

import attrs

from recipe.language.ast import Word
from recipe.plugins.fields import Field
from recipe.plugins.kinds import FieldContext, InvalidValue, Kind, Number, written
from recipe.plugins.progress import Progress

LONGEST = 100_000
"""The largest number of epochs."""


@attrs.frozen
class Moment:
    """A point of a training: after a number of epochs, or at a percentage of all steps."""

    number: float
    percent: bool = False

    def __str__(self) -> str:
        return written(self.number) + "%" * self.percent

    @property
    def fraction(self) -> float:
        """The fraction of the training that a percentage stands for, rounded once: 0.7% is 0.007."""
        return float(Decimal(repr(self.number)) / 100)

    def epoch(self, epochs: float) -> float:
        """Return the moment in epochs, for a training of a number of epochs."""
        return self.fraction * epochs if self.percent else self.number

    def is_reached(self, progress: Progress) -> bool:
        """Whether a step begins at the moment or after it."""
        if self.percent:
            return progress.step / (progress.epochs * progress.steps_per_epoch) >= self.fraction
        return progress.epoch >= self.number


@attrs.frozen
class MomentKind(Kind):
    """A `Moment`, with the bounds of its two units."""

    epochs: Number
    percentage: Number
    expects: str = ""

    def read(self, word: Word, reading: FieldContext) -> Moment:
        if word.kind not in ("number", "percent"):
            raise InvalidValue("E023", f"takes {self.expects}, not `{word.text}`")
        percent = word.kind == "percent"
        number = Word("number", word.text.removesuffix("%"), word.span)
        try:
            value = (self.percentage if percent else self.epochs).read(number, reading)
        except InvalidValue as unfit:
            raise InvalidValue(unfit.code, f"takes {self.expects}, not `{word.text}`") from None
        return Moment(float(value), percent)

    def holds(self, value: Any) -> bool:
        return isinstance(value, Moment) and (self.percentage if value.percent else self.epochs).holds(value.number)

    def identity(self, value: Any) -> str | float | None:
        return str(value) if value is not None and value.percent else value and value.number


FROM = Field(
    "from_",
    MomentKind(
        Number(0, LONGEST),
        Number(0, below=100),
        f"a number of epochs from 0 to {LONGEST:,}, or a percentage of at least 0% and below 100%",
    ),
    None,
    {},
    "start of the part of the training in which the trick acts",
)

UNTIL = Field(
    "until",
    MomentKind(
        Number(above=0, maximum=LONGEST),
        Number(above=0, maximum=100),
        f"a number of epochs above 0 and of at most {LONGEST:,}, or a percentage above 0% and of at most 100%",
    ),
    None,
    {},
    "end of the part of the training in which the trick acts",
)

SPAN = (FROM, UNTIL)
"""The fields of a span, which a recipe sets by name for any trick that acts step by step."""

SPAN_WORDS = tuple(field.word for field in SPAN)
"""The names of these fields, which no trick can give to a field of its own."""


@attrs.frozen
class During:
    """The part of a training in which a trick acts: all of it, unless a recipe sets `from=` or `until=`."""

    from_: Moment | None = None
    """The first step that begins at this point or after it is the first one in which the trick acts."""
    until: Moment | None = None
    """The first step that begins at this point or after it is the first one in which the trick no longer acts."""

    def __bool__(self) -> bool:
        return self != During()

    def __str__(self) -> str:
        moments = [(FROM.word, self.from_), (UNTIL.word, self.until)]
        return " ".join(f"{word}={moment}" for word, moment in moments if moment is not None)

    def holds(self, progress: Progress) -> bool:
        """Whether a step is in this part of the training."""
        begun = self.from_ is None or self.from_.is_reached(progress)
        return begun and not (self.until is not None and self.until.is_reached(progress))

    def steps(self, steps_per_epoch: int, epochs: int) -> range:
        """Return the steps, from 0, that are in this part of a training."""
        every = range(steps_per_epoch * epochs)

        def first(moment: Moment) -> int:
            return bisect_left(every, True, key=lambda step: moment.is_reached(Progress(step, steps_per_epoch, epochs)))

        return every[0 if self.from_ is None else first(self.from_) : None if self.until is None else first(self.until)]


ALWAYS = During()
"""The whole training."""
