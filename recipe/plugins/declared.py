"""What a trick declares: its words, its fields, and its relations to the slots and to other tricks."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import attrs

from recipe.plugins.fields import Field
from recipe.plugins.slots import INITIAL_VALUES


def _named(names: Mapping[str, str] | tuple[str, ...]) -> Mapping[str, str]:
    return names if isinstance(names, Mapping) else dict.fromkeys(names, "")


OWN = "recipe-compiler"
"""The package whose words no other package can take, so that installing a package never changes what a recipe means."""


@attrs.frozen
class Declared:
    """What a trick declares: its words, the slots it reads and writes, and its relations to other tricks.

    `Vocabulary.declared` fills in the package, and the position if the package is not recipe itself.
    """

    word: str
    """The verb, or the verb and the clause: ``lr warmup``."""
    reads: tuple[str, ...]
    """The slots that it reads."""
    writes: tuple[str, ...]
    """The slots that it writes."""
    after: tuple[str, ...]
    """The words of tricks that it follows."""
    needs: tuple[str, ...]
    """The words of tricks without which it is an error (E031)."""
    excludes: tuple[str, ...]
    """The words of tricks that it can't be combined with (E030)."""
    fields: tuple[Field, ...] = ()
    """Its fields, in the order of their values in a recipe."""
    position: float = inf
    """The position of its verb in the reading order. Verbs without one follow, sorted by name."""
    package: str = OWN
    """The package or plugin file that offers it."""
    result: bool = True
    """Whether it can change the result of a training, and so counts in a plan's digest."""
    spans: bool = False
    """Whether it acts step by step, so that a recipe can limit it to a part of the training."""
    formerly: str | None = None
    """The verb that alone stood for it in earlier releases, or None."""
    implied: bool = False
    """Whether a suggestion for one of its fields adds it to a recipe that doesn't state it."""
    known_as: Mapping[str, str] = attrs.field(factory=dict, converter=_named)
    """Other names that people use for it, each with what a recipe writes after its words: ``{"amp": "fp16"}``."""
    similar_to: tuple[str, ...] = ()
    """Names of tricks that don't exist, and that it can stand in for."""

    @property
    def verb(self) -> str:
        """The first of its words."""
        return self.word.split()[0]

    @property
    def clause(self) -> str | None:
        """The second of its words, or None."""
        return self.word.split()[1] if " " in self.word else None

    @property
    def reading_key(self) -> tuple[float, str, str]:
        """The key that sorts tricks in reading order: by verb, with a verb's own trick before its clauses."""
        return (self.position, self.verb, self.clause or "")

    @property
    def syntax(self) -> str:
        """Its syntax in a recipe: ``augment crop [SIZE] [scale=SCALE]``."""
        parts, named = [self.word], False
        for field in self.fields:
            text = f"{field.word}={field.word.upper()}" if named else field.word.upper() + "…" * field.kind.many
            parts.append(text if field.required else f"[{text}]")
            named = named or field.kind.many  # fields after one that takes all values need names
        return " ".join(parts)

    @property
    def changes_layers(self) -> bool:
        """Whether its edits change the model's layers, not just initial values."""
        return not {*self.writes} <= INITIAL_VALUES

    def taking(self, name: str) -> Field | None:
        """Return the field that has a bare name as one of its words, or None."""
        return next((field for field in self.fields if field.kind.knows(name)), None)
