"""The fields of a trick, and the functions that declare them, one per kind of value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from recipe.base.plain_numbers import plain_numbers
from recipe.plugins.kinds import (
    Address,
    Architecture,
    Choice,
    FilePath,
    Kind,
    Metric,
    Number,
    Numbers,
    ShareOrPath,
    ShareOrText,
    Teacher,
    Text,
)
from recipe.plugins.metrics import BUILT_IN

REQUIRED: Any = attrs.NOTHING
"""The default of a field without a default: the recipe must give its value."""


@attrs.frozen
class Field:
    """A field of a trick: its kind, its default, the defaults of other dialects, and its help text."""

    name: str
    kind: Kind
    default: Any
    dialects: dict[str, Any]
    help: str
    result: bool = True
    """Whether its value can change the result of a training, and so counts in a plan's digest."""
    formerly: str = ""
    """An earlier name. Locks may state it, and it stands for the field in digests, so that these stay valid."""
    example: str = ""
    """A value as a recipe writes it, for the error about a required field without one."""
    before: Any = None
    """Its value in the locks that were written before the field existed. It does not count in digests."""
    unset: str = ""
    """What happens without a value, if the default is None."""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def word(self) -> str:
        """The field's name as recipes write it: ``soft_weight`` is ``soft-weight``, and ``class_`` is ``class``."""
        return self.name.rstrip("_").replace("_", "-")


def _field(
    kind: Kind,
    default: Any,
    dialects: dict[str, Any] | None,
    help: str,
    result: bool = True,
    formerly: str = "",
    example: str = "",
    before: Any = None,
    unset: str = "",
) -> Any:
    default, dialects = plain_numbers(default), plain_numbers(dialects or {})
    field = Field("", kind, default, dialects, help, result, formerly, example, before, unset)
    return attrs.field(default=default, metadata={"recipe": field})


def number(
    default: float | str | None = REQUIRED,
    help: str = "",
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float | None = None,
    below: float | None = None,
    words: tuple[str, ...] = (),
    dialects: dict[str, Any] | None = None,
    result: bool = True,
    formerly: str = "",
    example: str = "",
) -> Any:
    """Declare a field for a real number or a percentage (``10%`` is 0.1), or one of ``words``.

    ``result=False``, here and in the other functions, declares that the value can't change the result of a training.
    ``formerly`` is the field's name in earlier releases. Existing locks and digests keep it. ``example`` is a value
    for a required field, as a recipe writes it, which the error about a missing value shows.
    """
    kind = Number(minimum, maximum, above, below, words=words)
    return _field(kind, default, dialects, help, result, formerly, example)


def integer(
    default: int | str | None = REQUIRED,
    help: str = "",
    *,
    minimum: float = -math.inf,
    maximum: float = 1e15,
    of: tuple[int, ...] = (),
    words: tuple[str, ...] = (),
    dialects: dict[str, Any] | None = None,
    result: bool = True,
    example: str = "",
    before: int | str | None = None,
) -> Any:
    """Declare a field for a whole number, perhaps only for those in ``of``, or one of ``words``.

    ``before``, here and in `choice`, is for a field that is added to an existing trick: its value in the locks that
    were written before. A field with this value does not count in digests, so that these stay valid.
    """
    if of:
        minimum, maximum = min(of), max(of)
    kind = Number(minimum, maximum, whole=True, of=of, words=words)
    return _field(kind, default, dialects, help, result, example=example, before=before)


def numbers(
    default: Any = REQUIRED,
    help: str = "",
    *,
    count: int | tuple[int, ...] | None = None,
    minimum: float = -math.inf,
    above: float | None = None,
    maximum: float = math.inf,
    result: bool = True,
    example: str = "",
) -> Any:
    """Declare a field for one or more increasing numbers: ``step 30 60 90``.

    With ``count``, it takes that many numbers, or one of several counts, in any order: ``mean=0.485 0.456 0.406``.
    """
    default = default if default is REQUIRED or default is None else tuple(default)
    counts = () if count is None else (count,) if isinstance(count, int) else count
    return _field(Numbers(Number(minimum, maximum, above), counts), default, None, help, result, example=example)


def choice(
    default: str | None = REQUIRED,
    help: str = "",
    *,
    of: tuple[str, ...],
    dialects: dict[str, Any] | None = None,
    refused: Mapping[str, str] | None = None,
    result: bool = True,
    before: str | None = None,
) -> Any:
    """Declare a field for one of the words in ``of``. ``refused`` has reasons for not accepting some others."""
    kind = Choice(words=of, refused=refused or {})
    return _field(kind, default, dialects, help, result, before=before)


def path(
    default: str | None = REQUIRED,
    help: str = "",
    *,
    name: bool = False,
    prefixes: tuple[str, ...] = (),
    result: bool = True,
    unset: str = "",
) -> Any:
    """Declare a field for a quoted path, relative to the recipe's folder, or also a bare name with ``name=True``.

    A string that starts with one of the ``prefixes``, such as ``hf_hub:``, is kept as it is. ``unset``, here and in
    `share_or_path`, `share_or_text` and `text`, says what happens without a value, if the default is None.
    """
    return _field(FilePath(name, prefixes), default, None, help, result, unset=unset)


def share_or_path(
    default: float | str | None = REQUIRED, help: str = "", *, result: bool = True, unset: str = ""
) -> Any:
    """Declare a field for a percentage above 0 and below 100 (``20%`` is 0.2), or a quoted path."""
    return _field(ShareOrPath(), default, None, help, result, unset=unset)


def share_or_text(
    default: float | str | None = REQUIRED, help: str = "", *, what: str, result: bool = True, unset: str = ""
) -> Any:
    """Declare a field for a percentage above 0 and below 100 (``20%`` is 0.2), or a text in quotes.

    ``what`` says what the text is, for messages.
    """
    return _field(ShareOrText(what), default, None, help, result, unset=unset)


def text(
    default: str | None = REQUIRED,
    help: str = "",
    *,
    what: str,
    check: Callable[[str], object] | None = None,
    unset: str = "",
) -> Any:
    """Declare a field for a text in quotes.

    ``what`` says what it is, for messages, and ``check`` raises `ValueError` for a text that does not fit.
    """
    return _field(Text(what, check), default, None, help, unset=unset)


def address(default: str | None = REQUIRED, help: str = "", *, result: bool = True) -> Any:
    """Declare a field for the address of a module in the model, in quotes: ``"layer3"``.

    A recipe is bound without its model, so the trick itself looks for the module and reports a missing one.
    """
    return _field(Address(), default, None, help, result)


def architecture(help: str = "", *, of: tuple[str, ...], prefixes: tuple[str, ...] = ()) -> Any:
    """Declare a field for a model's name: one of the words in ``of``, or any name with one of the ``prefixes``."""
    return _field(Architecture(prefixes, words=of), REQUIRED, None, help)


def metric(default: str = REQUIRED, help: str = "") -> Any:
    """Declare a field for the name of a metric: ``top1``, ``balanced``, ``loss``, or one of a trick in the recipe.

    If a trick's setting ``keep_by`` is a name that no metric has, the recipe is an error.
    """
    return _field(Metric(words=(*BUILT_IN,)), default, None, help)


def teacher(help: str = "") -> Any:
    """Declare a field for another recipe, which is bound and checked with this one, or for a run, in quotes."""
    return _field(Teacher(), REQUIRED, None, help)
