"""The JSON of a run folder as it must be when it is read back: the types of its fields, and their ranges."""

from __future__ import annotations

from typing import Any

import attrs
from attrs.validators import ge, gt, in_, le, matches_re, min_len, optional

VERSION = 1
"""Version of these formats."""

FINISHED = "finished"
"""The status of a run that was trained to its last step."""

ENDED_EARLY = "ended early"
"""The status of a run that was asked to end before its last step. It has results, but it is not finished."""


def _version() -> Any:
    return attrs.field(validator=in_((VERSION,)))


def _count(least: int = 0) -> Any:
    return attrs.field(validator=ge(least))


def _size() -> Any:
    return attrs.field(validator=ge(0.0))


def _fraction() -> Any:
    return attrs.field(validator=[ge(0.0), le(1.0)])


@attrs.frozen(kw_only=True)
class Skipped:
    """How many images could not be decoded."""

    training: int = _count()
    evaluation: int = _count()
    test: int = attrs.field(default=0, validator=ge(0))


@attrs.frozen(kw_only=True)
class Evaluated:
    """The results of one evaluation, with the point of the training at which it took place."""

    epoch: float = _size()
    step: int = _count()
    loss: float
    top1: float = _fraction()
    top5: float | None = attrs.field(default=None, validator=optional([ge(0.0), le(1.0)]))
    balanced: float | None = attrs.field(default=None, validator=optional([ge(0.0), le(1.0)]))
    metrics: dict[str, float] = attrs.field(factory=dict)
    """The metrics of tricks."""


@attrs.frozen(kw_only=True)
class BestEvaluated(Evaluated):
    by: str = attrs.field(validator=min_len(1))


@attrs.frozen(kw_only=True)
class Tested:
    """The results of the kept weights on the test images."""

    images: int = _count(1)
    loss: float
    top1: float = _fraction()
    top5: float | None = attrs.field(default=None, validator=optional([ge(0.0), le(1.0)]))
    balanced: float | None = attrs.field(default=None, validator=optional([ge(0.0), le(1.0)]))
    metrics: dict[str, float] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Summary:
    """`summary.json`. docs/reference/json.md describes each field."""

    schema_version: int = _version()
    status: str = attrs.field(validator=in_((FINISHED, ENDED_EARLY)))
    digest: str = attrs.field(validator=min_len(1))
    weights_sha256: str | None = attrs.field(default=None, validator=optional(matches_re("[0-9a-f]{64}")))
    epochs: float = attrs.field(validator=gt(0.0))
    planned_epochs: int | None = attrs.field(default=None, validator=optional(ge(1)))
    steps: int = _count(1)
    loss: float
    top1: float = _fraction()
    top5: float | None = attrs.field(default=None, validator=optional([ge(0.0), le(1.0)]))
    balanced: float | None = attrs.field(default=None, validator=optional([ge(0.0), le(1.0)]))
    metrics: dict[str, float] = attrs.field(factory=dict)
    kept: str = attrs.field(default="last", validator=in_(("best", "last")))
    best: BestEvaluated | None = None
    last: Evaluated | None = None
    test: Tested | None = None
    evaluation_sha256: str | None = attrs.field(default=None, validator=optional(matches_re("[0-9a-f]{64}")))
    skipped: Skipped | None = None
    seconds: float = _size()
    images_per_second: float | None = attrs.field(validator=optional(gt(0.0)))
    training_images: int = _count(1)
    peak_memory_bytes: int = _count()
    params: int = _count()
    macs: int = _count()
    precision: str = attrs.field(validator=in_(("fp32", "fp16", "bf16")))
    device: str
    processes: int = _count(1)
    micro: int | None = attrs.field(validator=optional(ge(1)))
    notes: list[str]


@attrs.frozen(kw_only=True)
class Plugin:
    """A plugin whose tricks a run uses."""

    name: str
    """The package, whose version is among ``packages``, or the file."""
    tricks: dict[str, str]
    """A digest of the code of each of its tricks in use, by the words of the trick."""
    source: str | None = None
    """The text of a single file, to be read. Nothing imports it."""


@attrs.frozen(kw_only=True)
class Environment:
    """`environment.json`. Fields that a reader can do without may be missing."""

    schema_version: int = attrs.field(default=VERSION, validator=in_((VERSION,)))
    packages: dict[str, str]
    plugins: list[Plugin] = attrs.field(factory=list)
    python: str = ""
    platform: str = ""
    device: str = ""
    device_name: str = ""
    cores: int | None = None
    threads: int | None = None
    precision: str = ""


@attrs.frozen(kw_only=True)
class Line:
    """What every line of `metrics.jsonl` has."""

    kind: str
    step: int = _count()
    epoch: float = _size()


@attrs.frozen(kw_only=True)
class TrainLine(Line):
    loss: float
    top1: float = _fraction()
    lr: float = _size()
    images_per_second: float = _size()


@attrs.frozen(kw_only=True)
class EvaluationLine(Line):
    loss: float
    top1: float = _fraction()
    top5: float | None = attrs.field(default=None, validator=optional([ge(0.0), le(1.0)]))
    balanced: float | None = attrs.field(default=None, validator=optional([ge(0.0), le(1.0)]))
    metrics: dict[str, float] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class SkippedLine(Line):
    part: str = attrs.field(validator=in_(("training", "evaluation", "test")))
    image: int = _count()
    why: str


LINES: dict[str, type[Line]] = {
    "train": TrainLine,
    "evaluation": EvaluationLine,
    "test": EvaluationLine,
    "skipped": SkippedLine,
}
"""What a line of each kind must be."""
